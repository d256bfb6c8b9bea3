from __future__ import annotations

from pathlib import Path

import pytest

from launcher.ledger import LedgerLine, ProcessLedger, SocketTaken

ONE = LedgerLine(4711, 99, "digest", "secret", 1.5)


def test_what_is_written_is_read_and_only_by_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "x.d"
    ledger = ProcessLedger(folder)
    assert ledger.read() == {}
    ledger.write({"a": ONE})
    assert ledger.read() == {"a": ONE}
    assert (folder / "running.json").stat().st_mode & 0o777 == 0o600  # the guard's secret is in it
    assert folder.stat().st_mode & 0o777 == 0o700
    ledger.close()


def test_one_launcher_in_a_folder(tmp_path: Path) -> None:
    first = ProcessLedger(tmp_path)
    with pytest.raises(SocketTaken):
        ProcessLedger(tmp_path)
    first.close()
    ProcessLedger(tmp_path).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"pid": 1}}', '{"a": {"pid": "x", "started": 1}}'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "running.json").write_text(text)
    ledger = ProcessLedger(tmp_path)
    assert ledger.read() == {}
    ledger.close()
