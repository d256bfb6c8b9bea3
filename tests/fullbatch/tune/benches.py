"""A simulated bench with known truth: what an arm is worth, how boots and measurements differ, what one costs."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from fullbatch.tune.bench import ArmFailed, Boot, MeasuredLoad, RaceBench, RaceLoad


@dataclass
class KnownBench(RaceBench):
    """`people`: the true most people of each arm within a TTFT of 1 s, which rises with users³ around it."""

    people: Mapping[str, float]
    boot_sd: float = 0.03
    load_sd: float = 0.03
    drift: float = 0.0  # log, in each hour
    seed: int = 1
    boot_s: float = 30.0
    load_s: float = 10.0
    broken: Mapping[str, str] = field(default_factory=dict)
    held_out_people: Mapping[str, float] = field(default_factory=dict)
    boots: list[tuple[str, bool]] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.seconds = 0.0

    def spent(self) -> float:
        return self.seconds

    def boot(self, arm: str, held_out: bool = False) -> Boot:
        self.boots.append((arm, held_out))
        self.seconds += self.boot_s
        if arm in self.broken:
            raise ArmFailed(self.broken[arm])
        return KnownBoot(self, arm, self.chance.gauss(0, self.boot_sd))


class KnownBoot(Boot):
    def __init__(self, bench: KnownBench, arm: str, luck: float) -> None:
        self._bench, self._arm, self._luck = bench, arm, luck

    def measure(self, load: RaceLoad) -> MeasuredLoad:
        bench = self._bench
        bench.loads += 1
        bench.seconds += bench.load_s
        table = bench.held_out_people if load.held_out and bench.held_out_people else bench.people
        most = table[self._arm] * math.exp(self._luck + bench.drift * bench.seconds / 3600)
        noise = math.exp(bench.chance.gauss(0, bench.load_sd))
        ttft = 1000 * (load.users / most) ** 3 * noise
        return MeasuredLoad({"ttft_p95_ms": ttft, "output_tokens_per_s": most * noise})

    def end(self) -> None:
        self._bench.seconds += 1
