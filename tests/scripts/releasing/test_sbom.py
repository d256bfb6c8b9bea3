"""Lists of contents: whole, valid, and the same each time."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.releasing import licences, locks, sbom

ROOT = Path(__file__).resolve().parents[3]


def test_they_list_what_the_locks_pin_and_are_the_same_twice() -> None:
    packages = licences.of_images(ROOT)
    made = sbom.all_of(ROOT, "1.2.3", 1_700_000_000, packages)
    assert made == sbom.all_of(ROOT, "1.2.3", 1_700_000_000, packages)
    assert set(made) == {f"fullbatch-1.2.3{part}.cdx.json" for part in ("", "-gateway-image", "-loadtest-image")}
    listed = json.loads(made["fullbatch-1.2.3-gateway-image.cdx.json"])
    pins = locks.read(ROOT / "requirements" / "gateway.txt")
    assert {one["purl"] for one in listed["components"]} == {f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins}
    assert all(one["hashes"] and one["licenses"] for one in listed["components"])
    assert listed["metadata"]["component"]["version"] == "1.2.3"
    assert listed["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")
