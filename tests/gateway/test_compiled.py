"""What scripts/compile-gateway compiles, looked at as sources; scripts/test-compiled runs the tests on the result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.harness import ROOT, compiled_modules

# Not on a request's way through the gateway, or a thread of their own, or pydantic's.
INTERPRETED = {
    "__main__", "api.metrics_port", "api.model_cards", "api.openapi", "api.outcome", "api.peer_endpoint",
    "api.system_endpoints", "app", "config.engine_settings", "config.listen", "config.loader", "config.memory_settings",
    "config.peers_file", "config.reloader", "config.setting_types", "config.settings", "config.tracing_settings",
    "config.turn_settings", "core.errors", "core.supervisor", "engines.absence", "engines.asking", "engines.balancing",
    "engines.concurrency_limit", "engines.far", "engines.health_checker", "engines.health_report",
    "engines.peer_report", "engines.query", "engines.resolver", "engines.spilling", "engines.stall_detector",
    "engines.structured_canary", "engines.vllm_metrics", "http.open_files", "http.sockets", "http.tls", "keyfile",
    "keys.__main__", "keys.buckets", "keys.moving", "keys.opening", "keys.outbox", "keys.postgres", "keys.schema",
    "keys.server_file", "keys.shared_buckets", "keys.spill", "keys.store", "keys.store_sync", "keys.stored",
    "keys.uplink", "keys.words", "pages.address", "pages.assets", "pages.card_memory", "pages.connect", "pages.desk",
    "pages.endpoints", "pages.front", "pages.html", "pages.key_changes", "pages.load_report", "pages.model_deeds",
    "pages.operator", "pages.person", "pages.status", "pages.store_desk", "pages.token_rate", "peers", "probe",
    "residency.backoff", "residency.load_times", "residency.policy", "residency.switch_budget", "running",
    "share.board", "share.server", "share.sharing", "store", "telemetry.exposition", "telemetry.span_export",
    "telemetry.turn_families", "telemetry.turn_metrics", "turns.card", "turns.desk", "turns.launcher_client",
    "turns.report", "turns.steps", "usage",
}  # fmt: skip
# What may be called where mypyc might evaluate it twice: it changes nothing.
PURE = {"len", "min", "max", "abs", "int", "find", "rfind", "index", "rindex", "get", "bisect_left", "bisect_right"}


def test_every_module_is_compiled_or_named_as_interpreted() -> None:
    files = (path.relative_to(ROOT / "gateway") for path in (ROOT / "gateway").rglob("*.py"))
    modules = {".".join(path.with_suffix("").parts) for path in files if path.stem != "__init__"}
    compiled = set(compiled_modules())
    assert compiled <= modules
    assert modules - compiled == INTERPRETED


def sources() -> list[Path]:
    return [ROOT / "gateway" / f"{name.replace('.', '/')}.py" for name in compiled_modules()]


def calls_in_indices(source: str) -> Iterator[str]:
    """Calls, awaits and assignments within `[…]`, but for those that are known to change nothing.

    mypyc evaluates both ends of a slice of a memoryview or bytearray twice: `rest[os.write(fd, rest):]` writes twice.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Subscript):
            continue
        for inner in ast.walk(node.slice):
            name = ""
            if isinstance(inner, ast.Call):
                name = inner.func.attr if isinstance(inner.func, ast.Attribute) else ast.unparse(inner.func)
            if isinstance(inner, ast.Call | ast.Await | ast.NamedExpr | ast.Yield) and name not in PURE:
                yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_with_an_effect_stands_in_an_index(path: Path) -> None:
    assert list(calls_in_indices(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("rest = rest[os.write(fd, rest) :]", 1),
        ("x = data[: next(ends)]", 1),
        ("x = data[await length() :]", 2),
        ("x = data[(n := 3) :]", 1),
        ("names[self.key(visit)] += 1", 1),
        ("x = data[len(head) : data.find(b' ')]", 0),
        ("x: dict[str, list[int]] = {}", 0),
    ],
)
def test_an_effect_in_an_index_is_found(source: str, found: int) -> None:
    text = f"async def f():\n  {source}" if "await" in source else source
    assert len(list(calls_in_indices(text))) == found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_has_a_length_says_also_whether_it_is_empty(path: Path) -> None:
    """mypyc takes an object of such a class for true, empty or not, where it may also be None."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            assert not ("__len__" in methods and "__bool__" not in methods), f"{node.name} needs a __bool__"
