"""What can be said against a race before anything starts, and of a promise after it."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.tune.objective import People, Tokens
from fullbatch.tune.prepared import RaceWishes, prepare
from fullbatch.tune.race import Race, RaceRules
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.tune.benches import KnownBench

SLO = "ttft_p95=1s"


def test_a_race_is_prepared_with_an_order_and_a_question() -> None:
    ready = prepare(REPOSITORY, RaceWishes("cpu-smollm2", slo="ttft_p95=6s", workload="seed", max_tokens=32))
    lines = list(ready.lines())
    assert lines[0].startswith("racing 8 arms against the plan of cpu-smollm2, ")
    assert any(line.startswith("  seats-28: max-num-seqs 28 instead of 56 (forecast ") for line in lines)
    assert set(ready.plans) == {"plan", *(arm.name for arm in ready.racing)}
    assert ready.question["load"] == ["--workload", "seed", "--mode", "closed", "--max-tokens", "32"]
    assert isinstance(ready.objective, People) and ready.objective.most == 224


def test_tokens_are_of_the_profiles_people_and_alone_of_one() -> None:
    for objective, users in (("tokens", 50), ("alone", 1)):
        ready = prepare(REPOSITORY, RaceWishes("cpu-tiny", objective))
        assert isinstance(ready.objective, Tokens) and ready.objective.users == users


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"slo": None}, "give the promise, such as --slo"),
        ({"slo": "ttft=1s"}, "--slo: 'ttft=1s'"),
        ({"workload": "nosuch"}, "there is no 'nosuch'"),
        ({"prompt_tokens": 4000}, r"requests of about 5,870 tokens .* do not fit the context of cpu-tiny, 4,096"),
        ({"arms": "seats-112,kv-fp8"}, "--arms: 'kv-fp8' is no arm of this race; there are: .*seats-112"),
        ({"profile": "nosuch"}, "no such profile"),
        ({"profile": "cpu-two-models"}, "is for several models; name a profile of one"),
    ],
)
def test_what_makes_no_race_is_said_before(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prepare(REPOSITORY, RaceWishes(**({"profile": "cpu-tiny", "slo": SLO} | wishes)))


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (9000.0, "ttft_p95=1s holds with 224 people at once"),
        (0.3, "does not hold with one person, in the plan or in any arm"),
    ],
)
def test_a_promise_that_everybody_or_nobody_keeps(people: float, said: str) -> None:
    ready = prepare(REPOSITORY, RaceWishes("cpu-tiny", slo=SLO))
    truth = {"plan": people, "one": people}
    found = Race(["one"], KnownBench(truth), ready.objective, RaceRules(3600), lambda _: None).run()
    with pytest.raises(UsageError, match=said):
        ready.refuse(found)
