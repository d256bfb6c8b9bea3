"""`fullbatch chat`: a question and its answer, or a conversation where there is a terminal on both sides."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from common.faults import did_you_mean
from fullbatch.chat import typed
from fullbatch.chat.conversation import ChatHistory
from fullbatch.chat.screen import Screen, figures
from fullbatch.chat.server import AnswerStream
from fullbatch.chat.session import Session, show
from fullbatch.chat.target import KEY_VARIABLE, Target, Wanted, find
from fullbatch.cli.values import positive
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.runtime import dotenv, registry

STANDARD_INPUT = "-"
HISTORY = Path(".fullbatch") / "chat_history"
_MOST_PIPED = 16 * 2**20


def options(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.description = "Talk to what is running. Ctrl-C ends an answer, Ctrl-D or /exit leaves, /help lists more."
    parser.epilog = (
        'One question: fullbatch chat "Why is the sky blue?", or: git diff | fullbatch chat "Explain this:" -'
    )
    parser.add_argument(
        "words", nargs="*", metavar="PROFILE|QUESTION",
        help="which profile, if several are running; then the question; - is standard input",
    )  # fmt: skip
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--model", metavar="NAME", help="which model, if several are served (default: the first)")
    parser.add_argument(
        "--max-tokens", type=positive, metavar="N", help="longest answer (default: to the end of the context)"
    )
    parser.add_argument("--url", metavar="URL", help="another server of OpenAI's API, such as http://HOST:8080")
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE",
        help=f"file with the API key (default: {KEY_VARIABLE} of shell or .env, else that of the deployment)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="print JSON, for other programs: the answer and its figures"
    )


def run(root: Path, args: argparse.Namespace) -> int:
    """One question where there is one, else a conversation; an exit code."""
    name, said = chosen(root, args.words, elsewhere=bool(args.url))
    question = _question(said)
    if args.json and question is None:
        raise UsageError("chat: --json is for one question; give it as words or through a pipe")
    target = find(root, Wanted(name, args.url or "", args.model or "", args.key_file))
    settings: dict[str, Any] = {"model": target.model}
    if args.max_tokens:
        settings["max_tokens"] = args.max_tokens
    conversation = ChatHistory(_readable(args.system or ""))
    # A question mark for a letter that the terminal's encoding lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if question is None:
        _converse(root, target, settings, conversation)
    else:
        _answer(root, target, settings | {"messages": conversation.messages(question)}, as_json=args.json)
    return 0


def chosen(root: Path, words: list[str], *, elsewhere: bool) -> tuple[str, list[str]]:
    """Profile, empty where none is named, and the words of the question.

    The first word is a profile if one is called so; a question has more than one. `elsewhere`: no profile is meant.
    """
    first = words[0] if words else ""
    if elsewhere or first in ("", STANDARD_INPUT) or " " in first:
        return "", words
    if first in profile.names(root) or any(one.profile == first for one in registry.running(root)):
        return first, words[1:]
    if len(words) == 1:
        near = did_you_mean(first, profile.names(root))
        raise UsageError(f"'{first}' is no profile{near}; a question of one word: echo {first} | fullbatch chat")
    return "", words


def _question(said: list[str]) -> str | None:
    """What is asked once; None for a conversation. `-`, and nothing at all in a pipe, is standard input."""
    if not said and sys.stdin.isatty():
        return None
    if said and STANDARD_INPUT not in said:
        return _readable(" ".join(said))
    at = said.index(STANDARD_INPUT) if said else 0
    parts = (" ".join(said[:at]), _piped(), " ".join(said[at + 1 :]))
    return _readable("\n\n".join(part for part in parts if part))


def _piped() -> str:
    text = sys.stdin.buffer.read(_MOST_PIPED + 1)
    if len(text) > _MOST_PIPED:
        raise UsageError(f"chat: more than {_MOST_PIPED >> 20} MiB on standard input; no model reads so much")
    if not text.strip():
        raise UsageError("chat: standard input is empty; there is nothing to ask")
    return text.decode("utf-8", "replace").strip()


def _readable(text: str) -> str:
    """Without the halves of letters that a terminal or a command line of another encoding brings."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _screen(root: Path) -> Screen:
    terminal = sys.stdout.isatty()
    plain = dotenv.value(root, "NO_COLOR") or dotenv.value(root, "TERM") in ("", "dumb")
    return Screen(sys.stdout, terminal=terminal, styled=terminal and not plain)


def _converse(root: Path, target: Target, settings: dict[str, Any], conversation: ChatHistory) -> None:
    screen = _screen(root)
    if not sys.stdout.isatty():
        lines = typed.TypedLines(sys.stdin, sys.stderr, None)
        Session(target.server, settings, conversation, screen).run(lines)
        return
    screen.note(f"{target.model} at {target.server.url}; /help lists commands, Ctrl-D leaves")
    with typed.editor(root / HISTORY) as editor:
        lines = typed.TypedLines(sys.stdin, sys.stdout, editor)
        Session(target.server, settings, conversation, screen).run(lines)


def _answer(root: Path, target: Target, body: dict[str, Any], *, as_json: bool) -> None:
    screen = _screen(root)
    with target.server.ask(body) as stream:
        if as_json:
            for _ in stream:
                pass
            sys.stdout.write(json.dumps(_as_json(stream), indent=2) + "\n")
            return
        show(stream, screen)
    if screen.terminal:
        screen.note(figures(stream))


def _as_json(answer: AnswerStream) -> dict[str, Any]:
    """For other programs: the text as it is, times in seconds."""
    return {
        "model": answer.model,
        "answer": answer.text,
        "reasoning": answer.reasoning,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "time_to_first_token_s": answer.ttft_s,
        "tokens_per_s": answer.tokens_per_s,
        "seconds": answer.last_at - answer.began if answer.last_at else None,
    }
