"""What one gateway makes of what the others have written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.share.board import Bulletin, GatewaySums, share_of, write


def fields(**entries: GatewaySums) -> dict[bytes, bytes]:
    return {name.encode(): write(entry) for name, entry in entries.items()}


def test_a_sum_counts_by_how_much_it_has_grown_and_once() -> None:
    board = Bulletin("me")
    first = board.read(fields(me=GatewaySums(9, {"b": 99.0}), you=GatewaySums(1, {"b": 5.0}, {"b": 12.0})), 0.0)
    assert (first.gateways, first.taken, first.missing) == (2, {}, {"b": 12.0})
    again = board.read(fields(you=GatewaySums(2, {"b": 7.5}, served={"k": 100.0}, running={"k": 2})), 0.2)
    assert (again.taken, again.missing, again.served, again.running) == ({"b": 2.5}, {}, {"k": 100.0}, {"k": 2})
    assert board.read(fields(you=GatewaySums(2, {"b": 7.5})), 0.4).taken == {}
    # Sums that have not changed are left out for a while, and go on where they were.
    board.read(fields(you=GatewaySums(3)), 0.6)
    assert board.read(fields(you=GatewaySums(4, {"b": 8.5})), 0.8).taken == {"b": 1.0}


def test_a_store_that_comes_back_empty_costs_nothing() -> None:
    board = Bulletin("me")
    board.read(fields(you=GatewaySums(1, {"b": 5.0})), 0.0)
    assert board.read({}, 0.2).gateways == 2
    assert board.read(fields(you=GatewaySums(2, {"b": 6.0})), 0.4).taken == {"b": 1.0}


def test_what_was_taken_during_a_gap_has_partly_come_back() -> None:
    board = Bulletin("me")
    board.read(fields(you=GatewaySums(1, {"b": 0.0, "c": 0.0})), 0.0)
    news = board.read(fields(you=GatewaySums(900, {"b": 320.0, "c": 40.0})), 300.0)
    assert news.taken == {"b": pytest.approx(20.0)}


def test_one_that_is_silent_is_gone_and_later_forgotten() -> None:
    board = Bulletin("me")
    dead = fields(you=GatewaySums(1, running={"k": 4}))
    board.read(dead, 0.0)
    assert board.read(dead, 1.9).running == {"k": 4}
    news = board.read(dead, 2.1)
    assert (news.gateways, news.running, board.forgotten(2.1)) == (1, {}, [])
    assert board.forgotten(61.0) == ["you"]


@pytest.mark.parametrize("value", [b"", b"[]", b'{"count": "many"}', b"\xff\x00", b'{"count": 1, "taken": {"b": "x"}}'])
def test_a_field_that_is_no_gateways_is_left_out_and_named(value: bytes) -> None:
    board = Bulletin("me")
    news = board.read({b"strange": value} | fields(you=GatewaySums(1)), 0.0)
    assert (news.gateways, board.strange) == (2, ["strange"])


def of(*keys: str) -> dict[str, float]:
    return dict.fromkeys(keys, 1.0)


@pytest.mark.parametrize(
    ("own", "others", "share"),
    [
        (of(), [], 1.0),
        (of("a"), [{"m": of("b")}], 1 / 2),
        (of(), [{"m": of()}, {}], 1 / 3),
        (of("a", "b"), [{"m": of("c")}], 2.5 / 4),
        (of("a"), [{"m": of("a", "b")}], 1.0 / 3),  # a works at both, and counts for a half at each
        ({"a": 3.0}, [{"m": of("b")}], 3.5 / 5),
    ],
)
def test_places_go_by_the_keys_that_work(own: dict[str, float], others: list[Any], share: float) -> None:
    assert share_of("m", own, others) == pytest.approx(share)
