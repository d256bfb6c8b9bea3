"""What shell scripts do at their end must not change how they end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and path.suffix == ""]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_process_that_has_gone_by_itself_fails_no_script(path: Path) -> None:
    """`set -e` holds in traps: a kill of nobody there would make any exit code a 1."""
    for line in re.findall(r"^trap '(.*)' EXIT", path.read_text(errors="replace"), re.MULTILINE):
        assert "kill " not in line or line.endswith("|| true"), line
