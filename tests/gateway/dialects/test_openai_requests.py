"""What is read of OpenAI's requests, and what is sent on; without a socket."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.call import Call
from gateway.core.errors import BadRequest
from gateway.dialects.openai import OpenAI
from gateway.http.messages import Request


def read(body: bytes) -> Call:
    request = Request("id", 0.0)
    request.target = b"/v1/chat/completions?a=b"
    request.body = body
    return OpenAI(dict).read(request)


def test_p1_model_and_stream_are_read_and_the_last_of_two_counts() -> None:
    call = read(b'{"model": "a", "model": "b", "stream": null}')
    assert (call.model, call.stream, call.path) == ("b", False, b"/v1/chat/completions")
    assert call.body == b'{"model": "a", "model": "b", "stream": null}'


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"model":"a","max_tokens":7}', 7),
        (b'{"model":"a","max_tokens":7,"max_completion_tokens":5,"n":2}', 10),
        (b'{"model":"a"}', None),
    ],
)
def test_what_the_answer_is_bounded_to(body: bytes, tokens: int | None) -> None:
    assert read(body).output_tokens == tokens


@pytest.mark.parametrize(
    ("options", "hides"),
    [
        (None, True),
        ({"include_usage": True}, False),
        ({"include_usage": False}, True),
        ({"continuous_usage_stats": True}, True),
    ],
)
def test_p47_a_stream_is_always_asked_for_its_usage(options: dict[str, bool] | None, hides: bool) -> None:
    body = {"model": "a", "stream": True} | ({"stream_options": options} if options is not None else {})
    call = read(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n ")
    sent = orjson.loads(call.body)
    # Counts in every event would reach a client that did not ask for any.
    off = {"continuous_usage_stats": False} if options is not None and hides else {}
    assert sent.pop("stream_options") == (options or {}) | {"include_usage": True} | off
    assert sent == {"model": "a", "stream": True}
    assert call.hides_usage is hides


def test_p47_nonsense_in_its_place_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        read(b'{"model":"a","stream":true,"stream_options":"x"}')
    assert refused.value.param == "stream_options"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(extra=st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_p1_whatever_else_is_asked_reaches_the_engine_as_it_was(extra: dict[str, object]) -> None:
    for name in ("stream_options", "tools", "max_tokens", "max_completion_tokens", "n"):
        extra.pop(name, None)
    body = extra | {"model": "a", "stream": True}
    sent = orjson.loads(read(orjson.dumps(body)).body)
    assert sent == body | {"stream_options": {"include_usage": True}}
