"""Every rendered engine command, judged by the argument parser of the very vLLM that is pinned. Started once."""

from __future__ import annotations

import pytest

from fullbatch import check, profile
from tests.fullbatch.checkout import REPOSITORY

PYTHON = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"
WRONG = {
    "a flag that is gone": ["tiny", "--swap-space", "4"],
    "a short form": ["tiny", "--max-num-se", "8"],
    "no number": ["tiny", "--max-num-seqs", "many"],
    "no choice": ["tiny", "--dtype", "bfloat61"],
    "a mistyped flag": ["tiny", "--max-modle-len", "4096"],
}

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str | None]:
    commands = {
        f"{name}: {service}": words
        for name in profile.names(REPOSITORY)
        for service, words in check.engine_commands(REPOSITORY, name).items()
    } | WRONG
    said = check.ask_engine_parser(REPOSITORY, PYTHON, list(commands.values()))
    return dict(zip(commands, said, strict=True))


@pytest.mark.parametrize("name", profile.names(REPOSITORY))
def test_every_rendered_command_passes(verdicts: dict[str, str | None], name: str) -> None:
    found = {label: said for label, said in verdicts.items() if label.startswith(f"{name}: ")}
    assert found == {f"{name}: engine": None}


@pytest.mark.parametrize(("label", "words"), WRONG.items())
def test_a_wrong_flag_is_reported_in_the_parsers_words(
    verdicts: dict[str, str | None], label: str, words: list[str]
) -> None:
    said = verdicts[label]
    assert said is not None
    assert words[1] in said
    assert "\n" not in said
