"""A question to what has just been started, and its answer as it comes: what a person sees before any table."""

from __future__ import annotations

from pathlib import Path

from fullbatch.chat.screen import Screen, figures
from fullbatch.chat.server import ChatServer, Key
from fullbatch.chat.session import show
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Say

QUESTION = "Why is the sky blue?"
# Long enough to be a paragraph, short enough to be waited for on a processor.
_MOST_TOKENS = 96


def ask(url: str, key_file: Path, plan: Plan, screen: Screen, say: Say) -> None:
    """Ask `plan`, which answers at `url`; NoAnswer when it does not. Greedily, so that it is the same each time."""
    engine = plan.engines[0]
    server = ChatServer(url, Key(key_file.read_text(encoding="utf-8").split()[0], f"of {key_file}"))
    say(f"asking {engine.served_name}: {QUESTION}")
    body = {
        "model": engine.served_name,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": _MOST_TOKENS,
        "temperature": 0,
    }
    screen.note("")
    with server.ask(body) as stream:
        show(stream, screen)
    # What the figures say of a cut is meant for a conversation.
    cut = f" · cut at {_MOST_TOKENS} tokens" if stream.finish_reason == "length" else ""
    stream.finish_reason = ""
    screen.note(f"\n({figures(stream)}{cut})\n")
