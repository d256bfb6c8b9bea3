from __future__ import annotations

import datetime
from pathlib import Path

from fullbatch.cli import weights
from fullbatch.lifecycle.weights import Inventory, StoredRevision
from fullbatch.runtime.hub_cache import Revision
from fullbatch.runtime.hub_folder import HubFolder

USED = datetime.datetime(2026, 11, 3, 12, tzinfo=datetime.UTC)


def _kept(wanted_by: tuple[str, ...] = ("cpu",), in_use: str | None = None) -> StoredRevision:
    revision = Revision("org/name", "a" * 40, 3 * 2**30, 2**30, USED.timestamp(), ("main",))
    return StoredRevision(HubFolder(Path("/hub")), revision, wanted_by, in_use)


def test_a_line_says_size_last_use_and_who_wants_it() -> None:
    assert weights.line(_kept()).split() == [
        "org/name", "a" * 12, "3.00", "GiB", "used", "2026-11-03", "wanted", "by", "cpu"
    ]  # fmt: skip
    assert weights.line(_kept(wanted_by=())).endswith("no profile wants it")
    assert weights.line(_kept(in_use="process 7")).endswith("in use by process 7")


def test_what_removal_frees_is_said_and_asked() -> None:
    assert "1 revision(s), 1.00 GiB that their removal would free" in weights.as_text(Inventory((_kept(),)))
    assert weights.question([_kept(), _kept()]) == "remove 2 revision(s), 2.00 GiB? [y/N] "


def test_for_programs_in_bytes_and_iso_8601() -> None:
    (told,) = weights.as_json([_kept()])
    assert (told["bytes"], told["bytes_freed_without_it"]) == (3 * 2**30, 2**30)
    assert (told["last_used"], told["where"]) == ("2026-11-03T12:00:00+00:00", "/hub")


def test_nothing_and_what_could_not_be_read() -> None:
    text = weights.as_text(Inventory((), ("profiles/x.yaml: broken",), ("profile 'y' runs",)))
    assert text == "no weights here\nnot read: profiles/x.yaml: broken\nnot read: profile 'y' runs\n"
