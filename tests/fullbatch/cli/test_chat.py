"""`fullbatch chat` with one question: words, pipes, JSON, mistakes; and with the real gateway before a fake engine."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullbatch.chat.target import KEY_VARIABLE
from fullbatch.cli.chat import chosen
from fullbatch.core.errors import UsageError
from fullbatch.runtime import registry
from tests.fullbatch.chat.scripted import Script, delta, scripted, text
from tests.fullbatch.checkout import REPOSITORY, Checkout


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as server:
        yield server


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "RUNTIMES", ())


def chat(
    checkout: Checkout, *words: str, stdin: bytes = b"", key: str | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    environment = checkout.environment() | variables | ({KEY_VARIABLE: key} if key else {})
    return subprocess.run(
        checkout.command("chat", *words), cwd=checkout.root, env=environment,
        input=stdin, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "profile", "question"),
    [
        ([], "", []),
        (["cpu-tiny"], "cpu-tiny", []),
        (["cpu-tiny", "Why", "so?"], "cpu-tiny", ["Why", "so?"]),
        (["Why is it so?"], "", ["Why is it so?"]),
        (["Why", "so?"], "", ["Why", "so?"]),
        (["cpu-tiny is what?"], "", ["cpu-tiny is what?"]),
        (["-"], "", ["-"]),
        (["cpu-tiny", "-"], "cpu-tiny", ["-"]),
    ],
)
@pytest.mark.usefixtures("nothing_runs")
def test_the_first_word_may_be_a_profile(words: list[str], profile: str, question: list[str]) -> None:
    assert chosen(REPOSITORY, words, elsewhere=False) == (profile, question)
    assert chosen(REPOSITORY, words, elsewhere=True) == ("", words)


@pytest.mark.usefixtures("nothing_runs")
def test_a_mistyped_profile_is_not_asked() -> None:
    with pytest.raises(UsageError, match=r"'cpu-tinny' is no profile \(did you mean cpu-tiny\?\); a question of one"):
        chosen(REPOSITORY, ["cpu-tinny"], elsewhere=False)


@pytest.mark.parametrize(
    ("words", "stdin", "question"),
    [
        (["Why", "so?"], b"not read", "Why so?"),
        ([], b"From a pipe?\n", "From a pipe?"),
        (["-"], b"From a pipe?", "From a pipe?"),
        (["Explain:", "-"], b"a\nb\n", "Explain:\n\na\nb"),
        (["-", "What", "is that?"], b"a\n", "a\n\nWhat is that?"),
        (["Gr\udcfc\xdfe"], b"", "Gr?\xdfe"),
        ([], b"bad \xff byte", "bad \ufffd byte"),
    ],
)
def test_what_is_asked(checkout: Checkout, script: Script, words: list[str], stdin: bytes, question: str) -> None:
    run = chat(checkout, "--url", script.url, "--system", "Be brief.", "--max-tokens", "9", *words, stdin=stdin)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"Hello there\n", b"")
    (asked,) = script.asked
    assert [one["content"] for one in asked["messages"]] == ["Be brief.", question]
    assert (asked["model"], asked["max_tokens"]) == ("m", 9)


def test_a_pipe_gets_the_answer_alone_and_no_command_for_a_terminal(checkout: Checkout, script: Script) -> None:
    script.answers = [[delta(reasoning="Hm."), *text("\x1b[31mJa, ", "grüß")]]
    assert chat(checkout, "--url", script.url, "a b", LANG="C.UTF-8").stdout.decode() == "Ja, grüß\n"
    plain = chat(checkout, "--url", script.url, "a b", PYTHONIOENCODING="ascii")
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, b"Ja, gr??\n", b"")


def test_json_has_the_text_as_it_is_and_the_figures(checkout: Checkout, script: Script) -> None:
    script.answers = [[delta(reasoning="Hm."), *text("\x1b[31mJa", "\n")]]
    found = json.loads(chat(checkout, "--url", script.url, "--json", "--model", "other", "a b").stdout)
    assert (found["answer"], found["reasoning"], found["finish_reason"]) == ("\x1b[31mJa\n", "Hm.", "stop")
    assert (found["model"], found["usage"]["completion_tokens"]) == ("m", 5)
    assert 0 < found["time_to_first_token_s"] <= found["seconds"] and found["tokens_per_s"] > 0
    assert script.asked[0]["model"] == "other"


def test_with_the_output_in_a_pipe_a_conversation_has_its_prompts_elsewhere(checkout: Checkout, script: Script) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        checkout.command("chat", "--url", script.url), cwd=checkout.root, env=checkout.environment(),
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.write(ours, b"Hi\nHo\n\x04")
        out, err = process.communicate(timeout=30)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0
    assert out.startswith(b"Hello there\n") and b"> " not in out and err == b"> > > "


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (
            ["cpu-tiny", "a b"],
            b"",
            6,
            "profile 'cpu-tiny' is not running; start it with fullbatch up cpu-tiny, or say",
        ),
        (["a b"], b"", 6, "nothing is running; start it with fullbatch up PROFILE, or say --url"),
        (["hello"], b"", 2, "'hello' is no profile; a question of one word: echo hello | fullbatch chat"),
        (["--url", "http://127.0.0.1:1", "a b"], b"", 6, "nothing answers at http://127.0.0.1:1: Connection refused"),
        (["--url", "URL"], b" \n", 2, "chat: standard input is empty; there is nothing to ask"),
        (
            ["--url", "URL", "--model", "othr", "a b"],
            b"",
            2,
            "--model othr: no such model (did you mean other?); there",
        ),
        (["--url", "URL", "--key-file", "/missing", "a b"], b"", 2, "--key-file /missing: No such file or directory"),
        (["--url", "URL", "--max-tokens", "0", "a b"], b"", 2, "'0': write a whole number above 0"),
    ],
)
def test_a_mistake_is_one_line(
    checkout: Checkout, script: Script, words: list[str], stdin: bytes, code: int, said: str
) -> None:
    run = chat(checkout, *(script.url if word == "URL" else word for word in words), stdin=stdin)
    assert (run.returncode, run.stdout) == (code, b"")
    assert said in run.stderr.decode().splitlines()[-1]
    assert "Traceback" not in run.stderr.decode()


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (
            (429, '{"error": {"message": "40 wait already"}}', {"Retry-After": "7"}),
            1,
            "40 wait already; try again in 7 s",
        ),
        ((401, "{}", {}), 2, f"the key in {KEY_VARIABLE} is none of this server's"),
        ([delta(content="half"), {"error": {"message": "it died"}}], 1, "the answer broke off: it died"),
    ],
)
def test_what_the_server_says_instead(checkout: Checkout, script: Script, answer: object, code: int, said: str) -> None:
    script.answers = [answer]
    run = chat(checkout, "--url", script.url, "a b", key="fb-x")
    assert run.returncode == code
    (line,) = run.stderr.decode().splitlines()
    assert said in line and "fb-x" not in line
    assert run.stdout == (b"half\n" if isinstance(answer, list) else b"")


@pytest.fixture
def running(checkout: Checkout, free_port: Callable[[], int]) -> Iterator[Checkout]:
    checkout.engine()
    up = checkout.run("up", "cpu-tiny", "--runtime", "process", "--gateway-port", str(free_port()))
    assert up.returncode == 0, up.stderr
    yield checkout
    assert checkout.run("down", "cpu-tiny").returncode == 0


def test_what_runs_answers_with_nothing_more_said(running: Checkout) -> None:
    for words in ((), ("cpu-tiny",)):
        run = chat(running, *words, stdin=b"Hello?")
        assert (run.returncode, run.stderr) == (0, b"") and len(run.stdout.split()) > 1
    wrong = chat(running, "a b", key="fb-wrong")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert wrong.stderr.decode().startswith(f"fullbatch: the key in {KEY_VARIABLE} is none of this server's")
    Path(running.root / ".fullbatch/run/cpu-tiny/api_keys").unlink()
    assert chat(running, "a b").stderr.decode().startswith("fullbatch: no key that this user can read")
