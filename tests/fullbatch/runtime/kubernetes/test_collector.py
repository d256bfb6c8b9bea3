"""A collector of spans: policies that let nothing else out let them through, and the export says what that needs."""

from __future__ import annotations

import kubernetes_validate

from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.kubernetes.target import KubernetesTarget
from tests.fullbatch.runtime.exported import plan_with
from tests.fullbatch.runtime.kubernetes.manifests import objects, of_kind

VERSION = "1.37"


def test_spans_reach_a_collector_and_nothing_else() -> None:
    """A profile with `gateway.tracing`: with the policies as they are else, nobody would hear why no span comes."""
    plan = plan_with(gateway={"tracing": "http://collector.tracing:4318"})
    policies = of_kind(plan, "NetworkPolicy")
    there = {
        "to": [{"namespaceSelector": {"matchLabels": {"fullbatch/collector": "true"}}}],
        "ports": [{"port": 4318}],
    }
    engine, gateway = (policies[name]["spec"]["egress"] for name in ("engine", "gateway"))
    assert there in engine and there in gateway
    assert {port["port"] for rule in engine for port in rule["ports"]} == {53, 4318}
    for one in objects(plan):
        kubernetes_validate.validate(one, VERSION, strict=True)
    notes = KubernetesTarget().notes(plan, ExportWishes())
    assert any(
        note.startswith("gateway.tracing: kubectl label namespace NAME fullbatch/collector=true") for note in notes
    )
    assert not any("tracing" in note for note in KubernetesTarget().notes(plan_with(), ExportWishes()))
