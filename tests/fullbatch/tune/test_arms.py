"""Arms that are made of a profile, and what prunes them."""

from __future__ import annotations

import pytest

from fullbatch.planning import advice, profile
from fullbatch.planning.plan import Plan
from fullbatch.planning.profile import Profile
from fullbatch.tune import arms
from tests.fullbatch.checkout import REPOSITORY


def of(name: str, on_disk: bool = False) -> tuple[dict[str, arms.Arm], dict[str, str]]:
    wanted, made = planned(name)
    found, pruned = arms.build(name, wanted, made, lambda _: on_disk)
    return {arm.name: arm for arm in found}, {one.name: one.why for one in pruned}


def planned(name: str) -> tuple[Profile, Plan]:
    wanted = profile.load(REPOSITORY, name)
    return wanted, advice.plan(name, wanted)


def of_one_model() -> list[str]:
    """A profile for several models, and one for several machines, are not raced."""
    files = {name: (REPOSITORY / "profiles" / f"{name}.yaml").read_text() for name in profile.names(REPOSITORY)}
    return [name for name, text in files.items() if "\nmodels:" not in text and "x8x2" not in name]


@pytest.mark.parametrize("name", of_one_model())
def test_every_profile_has_arms_that_plan_and_differ(name: str) -> None:
    found, pruned = of(name, on_disk=True)
    _, made = planned(name)
    commands = [tuple(arm.made.engines[0].command("M", "H", 0)) for arm in found.values()]
    assert 6 <= len(found) <= arms.MOST_ARMS
    assert len({*commands, tuple(made.engines[0].command("M", "H", 0))}) == len(found) + 1
    assert all(why and "\n" not in why for why in pruned.values())


def test_seats_that_a_profile_sets_itself_may_be_as_planned_again() -> None:
    found, pruned = of("cpu-tiny-seed")
    assert found["seats-planned"].made.max_num_seqs == 56
    assert "max-num-seqs" not in found["seats-planned"].profile.engine.args
    assert found["own-flags-off"].profile.engine.args == {}
    assert pruned["note-2025"] == "starts the same engine as the plan"


def test_the_note_and_the_bare_defaults_are_arms_of_a_card() -> None:
    found, _ = of("rtx4090-qwen2.5-7b", on_disk=True)
    assert found["note-2025"].made.engines[0].max_num_batched_tokens == 16384
    assert found["bare-defaults"].made.max_num_seqs == 256
    assert {"kv-fp8", "weights-fp8", "checkpoint-int4", "kv-offload"} <= found.keys()


def test_checkpoints_are_raced_where_they_lie_on_disk() -> None:
    assert not any(name.startswith("checkpoint") for name in of("rtx4090-qwen2.5-7b")[0])


def test_what_does_not_fit_is_pruned_with_the_reason_and_never_booted() -> None:
    _, pruned = of("rtx4090-qwen3.6-27b-int4", on_disk=True)
    assert "needs 27.0 GiB for its weights" in pruned["checkpoint-fp8"]
    assert "write at most" in pruned["note-2025"]


def test_changes_go_into_mappings_and_none_takes_away() -> None:
    data = {"a": 1, "engine": {"args": {"x": 1, "y": 2}}}
    assert arms.merged(data, {"engine": {"args": {"x": None, "z": 3}}}) == {
        "a": 1,
        "engine": {"args": {"y": 2, "z": 3}},
    }
    assert arms.merged(data, {"engine": {"args": {"x": None, "y": None}}, "a": None}) == {}
    assert data == {"a": 1, "engine": {"args": {"x": 1, "y": 2}}}
