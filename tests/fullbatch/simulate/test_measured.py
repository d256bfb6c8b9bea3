"""Reports of load tests as loads, and files that are none."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.simulate import measured
from fullbatch.simulate.request import LoadRequest

COLUMNS = ["stage", "user", "plan_us", "prompt_tokens", "output_tokens", "cached_tokens"]


def stage(number: int, users: int, tokens_per_s: float = 100.0, **other: Any) -> dict[str, Any]:
    times = {"p50": 10.0, "p95": 20.0}
    client = {"output_tokens_per_s": tokens_per_s, "ttft_ms": times, "itl_ms": times}
    return {"number": number, "side": "a", "mode": "closed", "users": users, "valid": True, "client": client} | other


def report(*stages: dict[str, Any]) -> dict[str, Any]:
    rows = [[one["number"], user, at, 7 + user, 9, None] for one in stages for user in (1, 0) for at in (5, 3)]
    return {"stages": list(stages), "records": {"columns": COLUMNS, "rows": rows}}


def write(folder: Path, content: Any) -> Path:
    (folder / "report.json").write_text(json.dumps(content))
    return folder


def test_stages_are_loads_with_medians_of_their_repeats(tmp_path: Path) -> None:
    path = write(tmp_path, report(stage(1, 2, 100), stage(2, 1), stage(3, 2, 300), stage(4, 2, 120)))
    one, two = measured.read(path)
    assert (one.users, two.users, two.side) == (1, 2, "a")
    assert two.figures["output_tokens_per_s"] == 120 and two.figures["itl_p95_ms"] == 20
    assert two.load.users == ((LoadRequest(7, 9), LoadRequest(7, 9)), (LoadRequest(8, 9), LoadRequest(8, 9)))
    packed = tmp_path / "r.json.xz"
    packed.write_bytes(lzma.compress((tmp_path / "report.json").read_bytes()))
    assert measured.read(packed, "a") == [one, two]
    (tmp_path / "report.json").unlink()
    packed.rename(tmp_path / "report.json.xz")
    assert measured.read(tmp_path) == [one, two], "a folder whose report was packed"


def test_whose_profile_a_side_was(tmp_path: Path) -> None:
    about = {"sides": [{"name": "a", "meta": {"profile": "mine"}}, {"name": "b", "meta": {}}], "meta": {}}
    path = write(tmp_path, report(stage(1, 2)) | about)
    assert measured.read(path)[0].profile == "mine"
    write(tmp_path, report(stage(1, 2, side="b")) | about)
    assert measured.read(path)[0].profile is None
    write(tmp_path, report(stage(1, 2)) | {"meta": {"profile": "alone"}})
    assert measured.read(path)[0].profile == "alone", "a report of one server has no sides"


@pytest.mark.parametrize(
    ("content", "side", "said"),
    [
        (report(stage(1, 2), stage(2, 2, side="b")), None, r"several sides; name one of \['a', 'b'\]"),
        (report(stage(1, 2)), "c", "no side c; name one of"),
        (report(stage(1, 2, mode="open")), None, "no stage of a with users"),
        (report(stage(1, 2, valid=False)), None, "no stage of a with users"),
        (report(stage(1, 2)) | {"records": {"columns": COLUMNS, "rows": []}}, None, "no request of stage 1 is among"),
        (
            report(stage(1, 2)) | {"records": {"columns": COLUMNS, "rows": [[1, 0, 0, 9, -5, 0]]}},
            None,
            r"9 \+ -5 tokens",
        ),
        (report(stage(1, 2)) | {"records": {"columns": COLUMNS, "rows": [[1, 0, 0, 9, 5, 10]]}}, None, "10 cached"),
        ({}, None, "is no whole report"),
        ([], None, "is no whole report"),
        (report(stage(1, 2, tokens_per_s=0)), None, "is no whole report .*output_tokens_per_s is 0"),
        (report(stage(1, 2)) | {"records": {"columns": ["stage"], "rows": [[1, 2]]}}, None, "is no whole report"),
    ],
)
def test_a_report_that_does_not_serve(tmp_path: Path, content: Any, side: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        measured.read(write(tmp_path, content), side)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        measured.read(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff{")
    with pytest.raises(UsageError, match="is not JSON; give the report.json of a load test"):
        measured.read(tmp_path)
    (tmp_path / "report.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match="is not JSON"):
        measured.read(tmp_path)
    (tmp_path / "half.xz").write_bytes(lzma.compress(b"{}" * 1000)[:40])
    with pytest.raises(UsageError, match="cannot be read whole"):
        measured.read(tmp_path / "half.xz")
