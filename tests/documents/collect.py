"""Every shell command that a page tells its reader to type: in blocks, fenced or indented, and within a sentence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# A line of an indented block, or a `…` in a sentence, is a command when it begins with one of these.
PROGRAMS = {
    "cd", "curl", "docker", "du", "eval", "export", "fullbatch", "git", "gunzip", "nvidia-smi", "pip", "pytest",
    "python", "python3", "source", "sqlite3", "sudo", "systemctl",
}  # fmt: skip
_ASSIGNMENT = re.compile(r"^[A-Z][A-Z0-9_]*=\S*$")
_DRAWN = re.compile("[─-╿◄►]")  # a picture
_SHELLS = {"sh", "bash", "shell", "console"}


@dataclass(frozen=True)
class Command:
    """``text``: without a comment; ``settings``: what stands before it, as ``PROFILE=cpu``."""

    where: str
    text: str
    settings: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        return _words(self.text)


def commands(pages: list[Path] | None = None) -> list[Command]:
    """Each command once, with the first place where it stands."""
    found: dict[tuple[str, tuple[str, ...]], Command] = {}
    for page in PAGES if pages is None else pages:
        name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
        for number, line, must in _lines(page.read_text()):
            for command in _split(f"{name}:{number}", line, must):
                found.setdefault((command.text, command.settings), command)
    return list(found.values())


def is_program(word: str) -> bool:
    return word in PROGRAMS or word.startswith(("scripts/", ".venv/bin/"))


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Lines and spans of code with their line's number; True where a shell's block says that each is a command."""
    fence: str | None = None
    prose: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif fence is not None:
            if fence in _SHELLS and line.strip() and not line.lstrip().startswith("#"):
                yield number, line.strip().removeprefix("$ "), True
        elif line.startswith("    "):
            yield number, line.strip().removeprefix("$ "), False
        else:
            prose.append((number, line))
    yield from _spans(prose)


def _spans(prose: list[tuple[int, str]]) -> Iterator[tuple[int, str, bool]]:
    """What stands between backticks, also where it goes on in the next line."""
    text = "\n".join(line for _, line in prose)
    for match in re.finditer(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)", text):
        words = match[1].split()
        yield prose[text.count("\n", 0, match.start())][0], " ".join(words), False


def _split(where: str, line: str, must: bool) -> Iterator[Command]:
    """A line's commands: between `&&`, `|` and `;`, without what stands in `$(…)`, which comes after it."""
    line = re.sub(r"\s+#( .*)?$", "", line)
    inner = re.findall(r"\$\(([^()]*)\)", line)
    for part in [*re.split(r"\s*(?:&&|;|\|)\s+", re.sub(r"\$\([^()]*\)", "INNER", line)), *inner]:
        words = _words(part)
        if "|" in words:
            words = words[: words.index("|")]
        settings = []
        while words and _ASSIGNMENT.match(words[0]):
            settings.append(words.pop(0))
        if not words or not (must or part in inner or is_program(words[0])) or _DRAWN.search(line):
            continue
        # A bare name in a sentence is a name.
        is_name = len(words) == 1 and (words[0] in PROGRAMS or words[0].startswith(".venv/bin/"))
        if is_name or words in (["docker", "compose"], ["pip", "install"]):
            continue
        quoted = (f'"{word}"' if " " in word else word for word in words)
        yield Command(where, " ".join(quoted), tuple(settings))


def _words(text: str) -> list[str]:
    """As a shell takes them; where there is half a pair of quotes, as in a sentence, between blanks."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
