"""Four ways to start two fake engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.gpubench.turns import race


def test_each_way_is_tried_and_both_engines_say_what_they_have(
    measured: Callable[[str], tuple[dict[str, Any], Any]],
) -> None:
    found, options = measured("race")
    assert list(found["variants"]) == [variant.name for variant in race.VARIANTS]
    for variant in race.VARIANTS:
        for name, one in found["variants"][variant.name].items():
            assert (one["kv_tokens"], one["why"]) == (1_048_576, ""), "what the fake engine says"
            assert one["kv_tokens_planned"] > 0 and one["seconds"] > 0
            log = (options.out / "sleep" / f"{variant.name.replace(' ', '-').replace(',', '')}-{name}.log").read_text()
            assert ("--kv-cache-memory-bytes" in log) is variant.planned
