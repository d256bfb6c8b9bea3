"""What shell scripts do at their end must not change how they end."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_process_that_has_gone_by_itself_fails_no_script() -> None:
    """`set -e` holds in traps: a kill of nobody there would make any exit code a 1."""
    texts = {path.name: path.read_text(errors="replace") for path in (ROOT / "scripts").iterdir() if path.is_file()}
    traps = [(name, trap) for name, text in texts.items() for trap in re.findall(r"(?m)^trap '(.*)' EXIT", text)]
    kills = {name: trap for name, trap in traps if "kill " in trap}
    assert "test-compiled" in kills
    assert [name for name, trap in kills.items() if not trap.endswith("|| true")] == []
