"""How many people a promise can be given to."""

from __future__ import annotations

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.simulate import figures, load, slo
from fullbatch.simulate.figures import LoadFigures
from fullbatch.simulate.run import simulate
from tests.fullbatch.simulate.engines import engine


def people(text: str, seats: int) -> int:
    """With one slot after the other, 10 tokens of 10 ms each."""

    def simulated(users: int) -> LoadFigures:
        return figures.of(simulate(engine(seats=seats), load.closed(users, 1, 1, 10)))

    return slo.people(slo.parse(text), simulated)


def test_the_most_people_within_it() -> None:
    # The ninth waits for 100 ms, the seventeenth for 200: of 17 it is above the 95th percentile, of 18 two are.
    assert people("ttft_p95=0.15s", seats=8) == 17
    assert people("ttft_p95=150ms,itl_p50=9ms", seats=8) == 0
    assert people("itl_p95=11ms", seats=8) == slo.MOST_PEOPLE


@pytest.mark.parametrize("text", ["", "ttft=1s", "ttft_p95", "ttft_p95=1", "ttft_p95=-1s", "ttft_p95=0ms", "a=b,"])
def test_what_is_no_promise(text: str) -> None:
    with pytest.raises(UsageError, match="--slo: .*write ttft_p50=…ms, ttft_p95=…ms"):
        slo.parse(text)
