"""What has been said so far, as the next question needs it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ChatHistory:
    """`turns`: questions, each with its answer, oldest first."""

    system: str = ""
    turns: list[tuple[str, str]] = field(default_factory=list)

    def messages(self, question: str) -> list[dict[str, str]]:
        """All of it, with `question` at the end, in OpenAI's form."""
        said = [{"role": "system", "content": self.system}] if self.system else []
        for asked, answer in self.turns:
            said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        return [*said, {"role": "user", "content": question}]

    def keep(self, question: str, answer: str) -> None:
        """A question is part of what was said once there is something of its answer."""
        if answer:
            self.turns.append((question, answer))

    def clear(self) -> None:
        """Forget the turns; the system prompt stays."""
        self.turns.clear()

    def take_back(self) -> str | None:
        """The last question, which is then no longer part of it; None without one."""
        return self.turns.pop()[0] if self.turns else None
