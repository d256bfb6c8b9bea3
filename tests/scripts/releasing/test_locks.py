"""What an image installs of a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.releasing import locks

ROOT = Path(__file__).resolve().parents[3]
A, B = "a" * 64, "b" * 64


def test_pins_with_their_hashes_and_only_those_of_an_image(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        f"two==2.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
        f"one[extra]==1.0 ; sys_platform != 'emscripten' \\\n    --hash=sha256:{A}\n"
        f"other==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{A}\n"
        f"old==1.0 ; python_full_version < '3.11.3' \\\n    --hash=sha256:{A}\n"
    )
    assert locks.read(lock) == [locks.Pin("one", "1.0", (A,)), locks.Pin("two", "2.0", (A, B))]


@pytest.mark.parametrize("line", ["one>=1.0", "one==1.0", "-r other.txt"])
def test_what_pins_nothing_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "lock.txt").write_text(line + "\n")
    with pytest.raises(locks.BrokenLock, match="entry 1 is no package with version and hashes"):
        locks.read(tmp_path / "lock.txt")


def test_the_locks_of_the_images_are_read() -> None:
    names = {pin.name for pin in locks.read(ROOT / "requirements" / "gateway.txt")}
    assert {"uvloop", "orjson", "pydantic"} <= names
