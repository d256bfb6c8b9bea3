"""A conversation: a line is asked and answered, or is a command, until somebody leaves."""

from __future__ import annotations

from typing import Any

from fullbatch.chat import slash
from fullbatch.chat.cleaning import one_line
from fullbatch.chat.conversation import ChatHistory
from fullbatch.chat.refusals import ContextFull
from fullbatch.chat.screen import Screen, figures
from fullbatch.chat.server import AnswerStream, ChatServer
from fullbatch.chat.typed import TypedLines
from fullbatch.core.errors import FullbatchError, Terminated

PROMPT = "> "
_LEAVING = "Ctrl-C again, Ctrl-D or /exit leaves"


class Session:
    """`settings`: what stands in every request beside the messages, such as the model."""

    def __init__(self, server: ChatServer, settings: dict[str, Any], conversation: ChatHistory, screen: Screen) -> None:
        self._server, self._settings = server, settings
        self._conversation, self._screen = conversation, screen
        self._unanswered: str | None = None

    def run(self, lines: TypedLines) -> None:
        """Until /exit, the end of all lines, or a second Ctrl-C in a row."""
        interrupted = False
        while True:
            try:
                line = lines.read(PROMPT)
            except EOFError:
                self._screen.note("")
                return
            except KeyboardInterrupt as interrupt:
                if isinstance(interrupt, Terminated):
                    raise
                self._screen.note("")
                if lines.unfinished():
                    continue
                if interrupted:
                    return
                interrupted = True
                self._screen.note(_LEAVING)
                continue
            command = slash.read(line)
            if command and command.name == "exit":
                return
            interrupted = not (self._obey(command) if command else self._say(line))

    def _obey(self, command: slash.Command) -> bool:
        """False: ended by Ctrl-C."""
        if command.name == "retry":
            question = self._unanswered or self._conversation.take_back()
            if question is not None:
                return self._say(question)
            self._screen.note("nothing was asked yet")
        elif command.name == "clear":
            self._conversation.clear()
            self._unanswered = None
            self._screen.note("forgotten")
        elif command.name == "system":
            self._system(command.rest)
        else:
            self._screen.note(slash.HELP.rstrip() if command.name else f"no command {command.rest}; /help lists them")
        return True

    def _system(self, text: str) -> None:
        if text:
            self._conversation.system = "" if text == "none" else text
        self._screen.note(f"system prompt: {one_line(self._conversation.system) or 'none'}")

    def _say(self, line: str) -> bool:
        """Ask, show what comes, and keep it; False: ended by Ctrl-C."""
        question = line.strip()
        if not question:
            return True
        self._unanswered, stream = question, None
        try:
            body = self._settings | {"messages": self._conversation.messages(question)}
            with self._server.ask(body) as stream:
                show(stream, self._screen)
            self._screen.note(figures(stream))
            return True
        except FullbatchError as error:
            hint = "; /clear forgets what was said before" if isinstance(error, ContextFull) else ""
            self._screen.error(f"{error}{hint}")
            return True
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, Terminated):
                raise
            self._screen.note(f"ended; {_LEAVING}")
            return False
        finally:
            if stream and stream.text:
                self._conversation.keep(question, stream.text)
                self._unanswered = None


def show(stream: AnswerStream, screen: Screen) -> None:
    """An answer from its first piece to its end, whatever ends it."""
    screen.begin()
    try:
        for piece in stream:
            screen.piece(piece)
    finally:
        screen.end()
