"""`common.streams`: programs that are started without some of the three streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "fullbatch": ["plan", "cpu-tiny"],
    "loadtest": ["--help"],
    "gateway": ["--help"],
    "gateway.keys": ["--help"],
}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_closed_stream_is_one_that_nobody_reads(program: str, closed: str) -> None:
    words = [sys.executable, "-m", program, *PROGRAMS[program]]
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *words], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_a_file_never_gets_the_number_of_a_stream(tmp_path: Path) -> None:
    code = (
        "from common import streams; streams.open_missing(); import subprocess, sys\n"
        "file = open(sys.argv[1], 'w'); print('x'); subprocess.run(['echo', 'y']); sys.exit(file.fileno() < 3)"
    )
    file = tmp_path / "kept"
    words = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *words], cwd=ROOT)
    assert (done.returncode, file.read_text()) == (0, "")
