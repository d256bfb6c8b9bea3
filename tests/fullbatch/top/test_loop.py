from __future__ import annotations

import json
from itertools import count, islice

import pytest

from fullbatch.top.loop import as_json, frames
from fullbatch.top.sources import MetricsSource


def engine(tokens: float) -> str:
    return f'# TYPE vllm:generation_tokens counter\nvllm:generation_tokens_total{{model_name="m"}} {tokens}\n'


def test_the_first_frame_already_has_rates_and_history_grows() -> None:
    numbers = count(0, 50)
    slept: list[float] = []
    source = MetricsSource("p", "process", "http://127.0.0.1:1", lambda: "", lambda: engine(next(numbers)))
    seen = list(islice(frames(source, 0.5, slept.append), 3))
    assert slept == [0.5, 0.5, 0.5]
    assert [len(frame.history) for frame in seen] == [1, 2, 3]
    assert seen[0].figures.output_tokens_per_s is not None and seen[0].figures.output_tokens_per_s > 0


def test_an_engine_that_dies_and_comes_back_ends_nothing() -> None:
    texts = iter([engine(5), "", "", engine(1), engine(9)])
    source = MetricsSource("p", "process", "http://127.0.0.1:1", lambda: "", lambda: next(texts))
    seen = [frame.figures for frame in islice(frames(source, 0.2, lambda _: None), 4)]
    assert [one.engine_answers for one in seen] == [False, False, True, True]
    assert seen[0].output_tokens_per_s is None
    assert seen[3].output_tokens_per_s is not None and seen[3].output_tokens_per_s > 0


def test_json_holds_every_figure_and_where_it_is_from() -> None:
    source = MetricsSource("p", "compose", "http://127.0.0.1:1", lambda: "", lambda: engine(1))
    frame = next(frames(source, 0.2, lambda _: None))
    told = json.loads(json.dumps(as_json(source, frame.figures)))
    assert (told["profile"], told["runtime"], told["limit"], told["keys"]) == ("p", "compose", "idle", [])
    assert told["running"] is None and told["engine_answers"] is True


@pytest.mark.parametrize("text", ["garbage", "<html>"])
def test_a_stranger_on_the_port_is_no_answer(text: str) -> None:
    source = MetricsSource("p", "process", "http://127.0.0.1:1", lambda: text, lambda: text)
    assert next(frames(source, 0.2, lambda _: None)).figures.limit == "nothing answers"
