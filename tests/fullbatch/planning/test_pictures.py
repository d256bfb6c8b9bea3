"""Pictures in a plan: how many, how large, from where, and what is left out without them."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import pictures, profile
from fullbatch.planning.plan import Plan, make

QWEN = "Qwen/Qwen3-VL-8B-Instruct"
GEMMA = "google/gemma-4-12B-it"


def _plan(model: str = QWEN, **changes: Any) -> Plan:
    data = {"description": "d", "model": model, "hardware": {"gpu": "h100"}, "context": 8192} | changes
    return make("x", profile.parse(data, "profiles/x.yaml"))


def _flags(plan: Plan) -> dict[str, Any]:
    wanted = ("language-model-only", "limit-mm-per-prompt", "mm-processor-kwargs", "allowed-media-domains")
    return {flag.name: flag.value for flag in plan.engines[0].flags if flag.name in wanted}


def _refused(model: str = QWEN, **changes: Any) -> str:
    with pytest.raises(UsageError) as raised:
        _plan(model, **changes)
    said = str(raised.value)
    assert "\n" not in said and said.startswith("profiles/x.yaml: ")
    return said


def test_by_default_the_engine_is_told_nothing() -> None:
    made = _plan()
    assert _flags(made) == {}
    assert made.engines[0].pictures == pictures.PicturePlan(None, 16_384, 32)
    assert any("what sees takes memory in a step" in line for line in made.assumptions)


@pytest.mark.parametrize("off", [False, "off", 0])
def test_off_leaves_out_what_sees(off: Any) -> None:
    made, seeing, sight = _plan(pictures=off), _plan(), catalog.models()[QWEN].sight
    assert _flags(made) == {"language-model-only": True}
    assert sight and made.budget.kv_gib - seeing.budget.kv_gib == pytest.approx(sight.gib)
    assert made.capacity.kv_tokens > seeing.capacity.kv_tokens
    assert not any("what sees" in line for line in made.assumptions)
    assert made.engines[0].pictures and made.engines[0].pictures.settings() == {"most": 0, "tokens": 16_384, "side": 32}


@pytest.mark.parametrize(
    ("most", "context", "width", "tokens"), [(1, 8192, 1024, 1024), (4, 8192, 1024, 1024), (16, 8192, 512, 256)]
)
def test_a_number_makes_each_as_large_as_half_of_the_context_allows(
    most: int, context: int, width: int, tokens: int
) -> None:
    made = _plan(pictures=most, context=context)
    assert _flags(made) == {
        "limit-mm-per-prompt": {"image": {"count": most, "width": width, "height": width}, "video": 0},
        "mm-processor-kwargs": {"max_pixels": width * width},
    }
    assert made.engines[0].pictures == pictures.PicturePlan(most, tokens, 32, width)


def test_where_all_cost_the_same_only_their_number_is_said() -> None:
    made = _plan(GEMMA, pictures=4)
    assert _flags(made) == {"limit-mm-per-prompt": {"image": {"count": 4}, "video": 0}}
    assert made.engines[0].pictures and made.engines[0].pictures.settings() == {"most": 4, "tokens": 280}


def test_more_than_the_context_holds() -> None:
    said = _refused(GEMMA, pictures=20, context=4096)
    assert "pictures: 20 of at least 280 tokens each do not fit half of the context of 4096; write at most 7" in said
    assert "write at most 32, or raise context" in _refused(pictures=64, context=4096)


def test_a_model_that_sees_none() -> None:
    text = "Qwen/Qwen3-8B"
    assert f"pictures: nothing is known of {text} that sees; remove this, or take another" in _refused(text, pictures=2)
    off = _plan(text, pictures=0)
    assert _flags(off) == {} and off.engines[0].pictures is None
    assert any("pictures: off does nothing" in line for line in off.assumptions)
    assert not any("pictures" in line for line in _plan(text).assumptions)


@pytest.mark.parametrize("value", [True, -1, 65, "many", 1.5])
def test_what_is_no_number_of_pictures(value: Any) -> None:
    assert "pictures" in _refused(pictures=value)


def test_flags_that_say_it_otherwise() -> None:
    args: dict[str, Any] = {"engine": {"args": {"limit-mm-per-prompt": {"image": 2}}}}
    assert "engine.args.limit-mm-per-prompt: pictures says it; remove one of them" in _refused(pictures=2, **args)
    assert _plan(**args)
    args = {"engine": {"args": {"allowed-media-domains": "a.example"}}}
    assert "engine.args.allowed-media-domains: media_domains says it" in _refused(media_domains=["b.example"], **args)


def test_domains_are_the_only_ones_and_send_nobody_on() -> None:
    made = _plan(media_domains=["images.example.org"])
    assert _flags(made) == {"allowed-media-domains": ["images.example.org"]}
    assert dict(made.engines[0].environment)["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    assert "VLLM_MEDIA_URL_ALLOW_REDIRECTS" not in dict(_plan().engines[0].environment)


@pytest.mark.parametrize(
    "domain",
    ["10.0.0.1", "localhost", "a..b", "A.example", "https://a.example", "a.example/x", "", "*.a.example", "[::1]"],
)
def test_what_is_no_domain(domain: str) -> None:
    assert "media_domains" in _refused(media_domains=[domain])
