"""What every answer must look like, and good requests to spoil."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.gateway.picture_files import encoded, png

MESSAGES = [{"role": "user", "content": "hello"}]
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": MESSAGES, "stream": True, "max_tokens": 3, "n": 1, "stop": ["x"], "temperature": 1,
        "stream_options": {"include_usage": True}, "tools": [], "logit_bias": {"1": 1}, "response_format": None,
    },
    "/v1/completions": {"prompt": "hello", "stream": False, "max_tokens": 3, "best_of": 1, "min_tokens": 1},
    "/v1/embeddings": {"input": ["hello"], "encoding_format": "float", "dimensions": 2},
    "/v1/responses": {"input": "hello", "stream": True, "max_output_tokens": 3, "previous_response_id": None},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 3, "stream": True, "stop_sequences": ["x"], "system": "y"},
    "/v1/messages/count_tokens": {"messages": MESSAGES},
    "/tokenize": {"prompt": "hello"},
    "/detokenize": {"tokens": [1, 2]},
    "/v1/score": {"text_1": "a", "text_2": ["b"]},
    "/rerank": {"query": "a", "documents": ["b"]},
    "/api/chat": {
        "messages": [
            {"role": "user", "content": "hello", "images": [encoded(png(9, 8))]},
            {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [
                {"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "c"},
        ],
        "stream": True, "options": {"num_predict": 3, "stop": ["x"], "seed": 1, "top_k": 3}, "format": "json",
        "think": True, "tools": [], "keep_alive": "5m", "logprobs": False,
    },
    "/api/generate": {"prompt": "hello", "images": [], "raw": False, "system": "x", "options": {"num_predict": 3}},
    "/api/embed": {"input": ["a", "b"], "truncate": True, "dimensions": 2},
    "/api/embeddings": {"prompt": "hello"},
    "/api/show": {"verbose": True},
}  # fmt: skip

KINDS: list[Any] = [
    None, True, False, 0, -1, 7, 3.5, 2**63, 2**70, -1e300, "", "x", "7", "\ud800", "\0", [], [7], ["x"], [None], [[]],
    [{}], {}, {"x": 7}, {"": None}, ["x"] * 3000, [1, "x", None, {}], "x" * 5000,
]  # fmt: skip


def exhausted(path: str) -> Iterator[bytes]:
    """The good body with every one of its values, however deep, missing and of every kind."""
    good: dict[str, Any] = {"model": "tiny", **GOOD[path]}
    for slot in _places(good):
        for kind in (*KINDS, _MISSING):
            body = copy.deepcopy(good)
            holder: Any = body
            for step in slot[:-1]:
                holder = holder[step]
            if kind is _MISSING:
                del holder[slot[-1]]
            else:
                holder[slot[-1]] = kind
            yield json.dumps(body).encode()


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*above, step)
        yield from _places(inner, (*above, step))


_MISSING = object()
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["tiny", "abort", '"usage":{', "data: [DONE]\n\n", "\ud800", "\0", "9" * 400])
)
JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and a body of it in which one or two members are something else, missing, there twice or cut."""
    path = draw(st.sampled_from(sorted(GOOD)))
    body: dict[str, Any] = {"model": "tiny", **GOOD[path]}
    for _ in range(draw(st.integers(1, 2))):
        _spoil(draw, body)
    text = json.dumps(body)
    if draw(st.integers(0, 9)) == 0:
        text = text[:-1] + ',"model":' + json.dumps(draw(_SCALARS)) + "}"
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(data)))
        data = data[:cut] + draw(st.binary(max_size=3)) + data[cut + draw(st.integers(0, 2)) :]
    return path, data


def _spoil(draw: st.DrawFn, holder: Any) -> None:
    """Change one value somewhere below ``holder``, an object or a list."""
    slots: list[Any] = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not slots:
        return
    slot = draw(st.sampled_from(slots))
    if isinstance(holder[slot], dict | list) and holder[slot] and draw(st.booleans()):
        holder[slot] = json.loads(json.dumps(holder[slot]))
        _spoil(draw, holder[slot])
    elif isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
        del holder[slot]
    else:
        holder[slot] = draw(JSON)


def assert_is_answer(path: str, status: int, body: bytes) -> None:
    """No server error, and an error in the shape of the path's API."""
    assert status < 500, (path, status, body[:500])
    if status < 400:
        return
    error = json.loads(body)
    if path.startswith("/api/") or path == "/":
        assert isinstance(error["error"], str) and error["error"]
    elif path.startswith("/v1/messages"):
        assert error["type"] == "error" and set(error["error"]) == {"type", "message"}
    else:
        assert set(error["error"]) == {"message", "type", "param", "code"}
