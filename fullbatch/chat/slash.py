"""Lines that are meant for the program and not for the model. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

HELP = """\
/clear          forget what was said; the system prompt stays
/system TEXT    another system prompt; /system alone shows it, /system none takes it away
/retry          the last question again
/help           this
/exit           leave, as Ctrl-D does, and Ctrl-C where nothing is typed
\"\"\"             begins and ends a text of several lines
Ctrl-C ends an answer; what has come of it stays part of the conversation.
"""
_NAMES = {"clear": "clear", "system": "system", "retry": "retry", "help": "help", "?": "help"}
_NAMES |= {"exit": "exit", "quit": "exit", "bye": "exit"}
# /etc/hosts is no command, /clera is meant to be one.
_COMMAND = re.compile(r"/(\?|[a-z]+)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """`name` is empty where there is no such command."""

    name: str
    rest: str = ""


def read(line: str) -> Command | None:
    """The command that a line is; None where it is something to ask."""
    found = _COMMAND.fullmatch(line.strip())
    if not found:
        return None
    name = _NAMES.get(found[1].lower(), "")
    return Command(name, (found[2] or "").strip() if name else f"/{found[1]}")
