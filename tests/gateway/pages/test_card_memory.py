"""The plan's memory beside what engines report, as the page of operators has it."""

from __future__ import annotations

from typing import Any

from tests.gateway.harness import wait_until
from tests.gateway.pages.conftest import PLANNED_KV_TOKENS, REPORTED_KV_TOKENS, Served


def test_p198_an_operator_sees_plan_and_report_side_by_side(served: Served) -> None:
    def cards() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = served.get("/ui/v1/admin", served.operator).json()["memory"]
        return found

    wait_until(lambda: all(part["reported"] for part in cards()[0]["parts"][:2]), 10, "both engines have said theirs")
    shared, turns = cards()
    assert (shared["title"], shared["total_gib"], shared["free_gib"]) == ("card 0", 24.0, 2.0)
    tiny, evil = shared["parts"]
    assert (tiny["engine"], tiny["kv_tokens_planned"]) == ("enginetiny", PLANNED_KV_TOKENS)
    (said,) = tiny["reported"]
    assert (said["kv_tokens"], said["deviation"], said["kv_gib"]) == (PLANNED_KV_TOKENS, 0.0, tiny["kv_gib"])
    assert said["address"] == served.engine.url.removeprefix("http://")
    (said,) = evil["reported"]
    assert said["kv_tokens"] == REPORTED_KV_TOKENS
    assert said["deviation"] == -0.1
    assert said["kv_gib"] == round(evil["kv_gib"] * 0.9, 2)
    assert (turns["turn_gib"], turns["kept_gib"], turns["free_gib"]) == (16.0, 2.0, 6.0)
    (gone,) = turns["parts"]
    assert (gone["turns"], gone["reported"], gone["kv_tokens_planned"]) == (True, [], None)
