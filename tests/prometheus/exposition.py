"""What the recorded expositions hold: which series exist, with which labels and label values."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import OUTCOMES

FIXTURES = Path(__file__).parents[1] / "fixtures"
ENGINE = FIXTURES / "vllm_metrics_0.32.0.txt"
DRAFTING = FIXTURES / "vllm_metrics_0.32.0_drafting.txt"
GATEWAY = FIXTURES / "gateway_metrics.txt"
NODE = FIXTURES / "node_metrics.txt"
# Its values are those of every state, reason and fault: tests/gateway/turns/test_metrics.py holds it to a gateway.
TURNS = FIXTURES / "gateway_turn_metrics.txt"
# Not recorded: see the first lines of each.
LOADTEST = FIXTURES / "loadtest-metrics-expected.txt"
CARDS = FIXTURES / "dcgm_metrics.txt"
BY_HAND = (LOADTEST, CARDS)
ALL_OF_THEM = (ENGINE, DRAFTING, GATEWAY, TURNS, NODE, *BY_HAND)

# Set by the scrape configuration on every target; their values are the installation's.
TARGET_LABELS = frozenset({"job", "instance", "deployment"})


@dataclass
class Series:
    """One name: label -> values seen. `free` labels may hold any value."""

    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    free: frozenset[str] = TARGET_LABELS

    def label_names(self) -> set[str]:
        return set(self.labels) | self.free


def recorded_series(*files: Path) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for path in files:
        text = path.read_text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                # The parser gives every counter the ending _total; the DCGM exporter's have none.
                written = sample.name if f"\n{sample.name}" in text else sample.name.removesuffix("_total")
                series = found.setdefault(written, Series())
                for name, value in sample.labels.items():
                    series.labels[name].add(value)
    return found


def known_series(recording_rules: Mapping[str, str]) -> dict[str, Series]:
    """Everything an expression may name."""
    known = recorded_series(*ALL_OF_THEM) | made_by_prometheus(recording_rules)
    # A recording holds the outcomes that happened while it was made: no failure among them is as it should be.
    known["gateway_requests_total"].labels["outcome"] |= OUTCOMES
    return known


def made_by_prometheus(recording_rules: Mapping[str, str]) -> dict[str, Series]:
    """`up`, `ALERTS`, and what the rules record: there the name's level, `a_b:metric:how`, is its labels."""
    made = {
        "up": Series(),
        "ALERTS": Series({"alertstate": {"firing", "pending"}}, frozenset({"alertname", "severity", "deployment"})),
    }
    for name in recording_rules:
        made[name] = Series({}, frozenset(name.split(":")[0].split("_")))
    return made
