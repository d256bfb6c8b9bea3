import json

import pytest

from fullbatch.chat.refusals import ContextFull, NoAnswer, message, refusal, silent
from fullbatch.core.errors import FullbatchError, StateError, UsageError

OPENAI = '{"error": {"message": "what is wrong\\u001b[31m", "code": "x"}}'
# As vLLM 0.32 words it, and the gateway (P175).
LONG = "This model's maximum context length is 4096 tokens. However, your prompt contains at least 4097 input tokens."
LONG_HERE = "'messages' has more than 9 characters besides blanks, and the model's context of 4096 tokens holds no more"


@pytest.mark.parametrize(
    ("status", "body", "after", "kind", "said"),
    [
        (401, OPENAI, "", UsageError, "the key in F is none of this server's; name a file with one: --key-file FILE"),
        (429, OPENAI, "7", NoAnswer, "too much is asked of it now: what is wrong; try again in 7 s"),
        (429, OPENAI, "soon", NoAnswer, "too much is asked of it now: what is wrong"),
        (503, OPENAI, "2", NoAnswer, "not ready: what is wrong; try again in 2 s"),
        (404, OPENAI, "", UsageError, "refused: what is wrong"),
        (502, "<html>", "", NoAnswer, "no answer (status 502): <html>"),
        (500, "", "", NoAnswer, "no answer (status 500): status 500"),
    ],
)
def test_each_says_what_it_is(status: int, body: str, after: str, kind: type[FullbatchError], said: str) -> None:
    error = refusal(status, body, after, "the key in F")
    assert (type(error), str(error)) == (kind, said)


@pytest.mark.parametrize("words", [LONG, LONG_HERE])
def test_a_full_context_is_told_from_other_mistakes(words: str) -> None:
    error = refusal(400, json.dumps({"error": {"message": words}}), "", "")
    assert isinstance(error, ContextFull) and words[:30] in str(error)
    assert not isinstance(refusal(400, OPENAI, "", ""), ContextFull)


def test_a_silent_server() -> None:
    error = silent("http://h", ConnectionRefusedError(111, "Connection refused"))
    assert (type(error), str(error)) == (StateError, "nothing answers at http://h: Connection refused")
    assert str(silent("http://h", TimeoutError())) == "nothing answers at http://h: TimeoutError"


@pytest.mark.parametrize("body", ['{"error": {"message": "m"}}', '{"error": "m"}', "m"])
def test_the_message_in_any_shape(body: str) -> None:
    assert message(body) == "m"


@pytest.mark.parametrize("body", ["[1]", '{"error": {"message": 5}}', "{}", ""])
def test_a_body_without_one(body: str) -> None:
    assert message(body) in ("", "[1]")
