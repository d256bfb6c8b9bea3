"""A conversation: in process line by line, and in a terminal of its own with the keys that a person presses."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fullbatch.chat.conversation import ChatHistory
from fullbatch.chat.screen import Screen
from fullbatch.chat.server import ChatServer, Key
from fullbatch.chat.session import Session
from fullbatch.chat.typed import TypedLines
from tests.fullbatch.chat.scripted import Script, delta, text
from tests.fullbatch.checkout import Checkout
from tests.waiting import wait_for

FULL: tuple[int, str, dict[str, str]] = (
    400,
    '{"error": {"message": "This model\'s maximum context length is 9 tokens"}}',
    {},
)


def talk(script: Script, *lines: str, system: str = "") -> str:
    """What a conversation shows; prompts are not part of it."""
    out = io.StringIO()
    session = Session(
        ChatServer(script.url, Key("k", "the key")), {"model": "m"}, ChatHistory(system),
        Screen(out, terminal=True, styled=False),
    )  # fmt: skip
    session.run(TypedLines(io.StringIO("".join(f"{line}\n" for line in lines)), io.StringIO(), None))
    return out.getvalue()


def asked(script: Script) -> list[list[str]]:
    return [[f"{one['role'][0]}:{one['content']}" for one in body["messages"]] for body in script.asked]


def test_what_was_said_is_remembered_until_it_is_forgotten(script: Script) -> None:
    script.answers = [text("Hello."), text("Again."), text("New.")]
    said = talk(script, "Hi", "", "And?", "/clear", "Who?", "/exit", "never asked", system="Be brief.")
    assert asked(script) == [
        ["s:Be brief.", "u:Hi"],
        ["s:Be brief.", "u:Hi", "a:Hello.", "u:And?"],
        ["s:Be brief.", "u:Who?"],
    ]
    assert "Hello.\nfirst token " in said and "forgotten\nNew.\n" in said and "7 + 5 tokens" in said


def test_the_system_prompt_can_be_seen_and_changed(script: Script) -> None:
    said = talk(script, "/system", "/system Say arr.", "Hi", "/system none", "Ho")
    assert said.startswith("system prompt: none\nsystem prompt: Say arr.\nHello there\n")
    assert asked(script) == [["s:Say arr.", "u:Hi"], ["u:Hi", "a:Hello there", "u:Ho"]]


def test_again(script: Script) -> None:
    script.answers = [
        text("one"),
        text("two"),
        (429, '{"error": {"message": "full"}}', {"Retry-After": "4"}),
        text("3"),
    ]
    said = talk(script, "/retry", "Hi", "/retry", "Ho", "/retry")
    assert said.startswith("nothing was asked yet\n")
    assert "too much is asked of it now: full; try again in 4 s\n" in said
    assert asked(script) == [["u:Hi"], ["u:Hi"], ["u:Hi", "a:two", "u:Ho"], ["u:Hi", "a:two", "u:Ho"]]


def test_a_full_context_says_how_to_go_on(script: Script) -> None:
    script.answers = [FULL, text("one")]
    assert "context length is 9 tokens; /clear forgets what was said before\n" in talk(script, "Hi", "/clear", "/retry")
    assert asked(script) == [["u:Hi"]], "what is forgotten is not asked again"


def test_what_broke_off_is_part_of_the_conversation_as_far_as_it_came(script: Script) -> None:
    script.answers = [[delta(content="half"), {"error": {"message": "died"}}], text("whole")]
    assert "half\nthe answer broke off: died\n" in talk(script, "Hi", "Go on")
    assert asked(script)[1] == ["u:Hi", "a:half", "u:Go on"]


def test_an_unknown_command_is_not_asked(script: Script) -> None:
    assert "no command /clera; /help lists them" in talk(script, "/clera", "/help")
    assert not script.asked


class Terminal:
    """`fullbatch chat` in a terminal of its own; `screen` is all it has shown."""

    def __init__(self, ours: int, process: subprocess.Popen[bytes]) -> None:
        self.ours, self.process, self.screen = ours, process, ""

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def shows(self, text: str, times: int = 1) -> None:
        wait_for(lambda: self._read().count(text) >= times, 20, lambda: f"{text!r} in {self.screen!r}")

    def ends(self, pressing: str = "") -> int:
        """`pressing`: every few seconds, as a person would whom the first time did not help."""
        pressed = 0.0

        def ended() -> bool:
            nonlocal pressed
            self._read()
            if pressing and self.process.poll() is None and time.monotonic() - pressed > 5:
                self.press(pressing)
                pressed = time.monotonic()
            return self.process.poll() is not None

        wait_for(ended, 20, lambda: self.screen)
        return self.process.wait()

    def _read(self) -> str:
        if select.select([self.ours], [], [], 0.1)[0]:
            try:
                self.screen += os.read(self.ours, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                pass
        return self.screen


@contextmanager
def terminal(checkout: Checkout, *words: str, **variables: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    environment = checkout.environment() | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"} | variables
    with subprocess.Popen(
        checkout.command("chat", *words), cwd=checkout.root, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_controlling,
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)


def _controlling() -> None:
    """So that Ctrl-C is what a terminal makes of it: a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def chat(checkout: Checkout, script: Script) -> Callable[..., Any]:
    return lambda *words, **variables: terminal(checkout, "--url", script.url, *words, **variables)


def test_ctrl_c_ends_the_answer_then_the_program_and_the_server_hears_of_it(
    script: Script, chat: Callable[..., Any]
) -> None:
    script.answers, script.pause_s = [text("begun ", *["word "] * 1000)], 0.02
    with chat("--system", "Be brief.") as shown:
        shown.shows("> ")
        shown.press("Hi\r")
        shown.shows("word word")
        shown.press("\x03")
        shown.shows("ended; Ctrl-C again, Ctrl-D or /exit leaves")
        assert script.left.wait(10)
        script.answers, script.pause_s = [text("short")], 0
        shown.press("Go on\r")
        shown.shows("short")
        assert asked(script)[1][:2] == ["s:Be brief.", "u:Hi"] and asked(script)[1][2].startswith("a:begun word")
        shown.press("\x03")
        shown.shows("leaves", 2)
        # Python's readline does not see one that comes between writing the prompt and waiting for keys.
        assert shown.ends(pressing="\x03") == 0
    assert "Traceback" not in shown.screen


def test_ctrl_c_takes_back_what_is_typed_and_arrows_bring_back_what_was(
    script: Script, chat: Callable[..., Any]
) -> None:
    with chat() as shown:
        shown.press("first question\r")
        shown.shows("tokens/s")
        shown.press("never sent\x03")
        shown.shows("> ", 3)
        shown.press("\x1b[A\x1b[D\x1b[D\x1b[D\x7f\x7f\x7f\x7f\x7f\r")  # up, left, and some letters less: `first ion`
        shown.shows("tokens/s", 2)
        shown.press("\x04")
        assert shown.ends() == 0
    assert [messages[-1] for messages in asked(script)] == ["u:first question", "u:first ion"]
    with chat() as shown:
        shown.press("\x1b[A\x1b[A\r/exit\r")
        assert shown.ends() == 0
    assert asked(script)[-1] == ["u:first question"], "of the day before"


def test_a_terminal_gets_no_command_of_the_models_and_dim_parts_unless_they_are_unwanted(
    script: Script, chat: Callable[..., Any]
) -> None:
    script.answers = [[delta(reasoning="Hm\x1b]0;evil\x07."), *text("\x1b[31", "mYes\x1b[2J")]]
    with chat() as shown:
        shown.press("Hi\r")
        shown.shows("tokens/s")
    assert "\x1b[2mHm.\x1b[0m" in shown.screen and "\x1b[2mfirst token" in shown.screen
    assert not [one for one in ("\x1b]0;", "\x1b[31m", "\x1b[2J") if one in shown.screen]
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with chat(**variables) as shown:
            shown.press("Hi\r")
            shown.shows("tokens/s")
        assert "(thinking) Hm." in shown.screen
        assert not [one for one in ("\x1b[2m", "\x1b[0m") if one in shown.screen]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("answering", [True, False])
def test_a_signal_to_end_ends_the_program_wherever_it_is(
    script: Script, chat: Callable[..., Any], number: int, answering: bool
) -> None:
    script.answers, script.pause_s = [text(*["word "] * 1000)], 0.02
    with chat() as shown:
        shown.shows("> ")
        if answering:
            shown.press("Hi\r")
            shown.shows("word word")
        shown.process.send_signal(number)
        assert shown.ends() == 130
    assert "Traceback" not in shown.screen
    assert not answering or script.left.wait(10)


def test_the_wait_for_a_first_token_can_be_ended_too(script: Script, chat: Callable[..., Any]) -> None:
    script.answers, script.pause_s = [text("late")], 60
    with chat() as shown:
        shown.shows("> ")
        shown.press("Hi\r")
        wait_for(lambda: script.asked, 20, "the question")
        time.sleep(0.2)
        shown.press("\x03")
        shown.shows("ended; ")
        shown.press("\x04")
        assert shown.ends() == 0
