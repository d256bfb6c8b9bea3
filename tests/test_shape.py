"""The numbers the code holds itself to (CONTRIBUTING.md), counted with `ast`."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "common", "fullbatch", "gateway", "launcher", "loadtest", "grafana", "scripts")
FILE_LINES, FUNCTION_LINES, MEDIAN_FUNCTION_LINES, PARAMETERS = 300, 50, 12, 6

# `path` or `path: function` -> why the number does not hold there.
EXCEPTIONS: dict[str, str] = {}

# Where each program reads its environment; nothing else of it may. A trailing slash means the folder.
READS_ENVIRONMENT = {
    "common": "",
    # Of a machine, and how the hub is reached from it.
    "fullbatch": ("fullbatch/runtime/", "fullbatch/hub/"),
    "gateway": "gateway/config/settings.py",
    # What an engine inherits, and the secret that it gets.
    "launcher": ("launcher/environment.py", "launcher/guard.py"),
    "loadtest": "loadtest/runner/defaults.py",
    "grafana": "",
    "bench": "",
    "scripts": "scripts/",
}

# Modules that nothing imports, and what runs them. A trailing slash means the folder.
RUN_BY_NAME = {
    "bench/gateway/": "python -m bench.gateway and the candidates it starts by name",
    "bench/simulation.py": "python -m bench.simulation, which writes the table of docs/decisions/0036-simulation.md",
    "bench/loadtest/": "python -m bench.loadtest.truth, which measured docs/decisions/0010-generating-load.md",
    "loadtest/selfcheck/engine.py": "python -m loadtest.selfcheck.engine, which loadtest/selfcheck/check.py starts",
    "loadtest/engines/sampler.py": "a process of its own that loadtest/engines/sampling.py starts",
    "fullbatch/entry.py": "the command `fullbatch`, which pyproject.toml names",
    "fullbatch/rendering/engine_parser.py": "fullbatch/rendering/check.py hands it to the engine's own Python",
    "fullbatch/runtime/fetch.py": "the one-shot `model` of rendered/, run by the engine's own Python",
    "fullbatch/runtime/kv_prune.py": "python, the service `kv-prune` of rendered/ and beside engines as processes",
    "fullbatch/runtime/process/keeper.py": "python -m, what an engine's command begins with",
    "gateway/keyfile.py": "python -m gateway.keyfile, the one-shot `secrets` of compose.yaml",
    "gateway/keys/__main__.py": "python -m gateway.keys, which `fullbatch keys` starts beside the gateway",
    "gateway/peers.py": "python -m gateway.peers, which `fullbatch peers` starts beside the gateway",
    "gateway/store.py": "python -m gateway.store, which `fullbatch store` starts beside the gateway",
    "gateway/usage.py": "python -m gateway.usage, which `fullbatch usage` starts beside the gateway",
    "gateway/probe.py": "python -m gateway.probe, the health check of the gateway's image",
    "scripts/chat/cli.py": "scripts/open-webui",
    "scripts/gpubench/cli.py": "scripts/gpu-bench",
    "scripts/gpubench/limits.py": "python -m scripts.gpubench.limits, which scripts/gpubench/cli.py starts",
    "scripts/llama/cli.py": "scripts/llama-server",
    "scripts/llama/bf16.py": "the engine's own Python, which scripts/llama/real.py starts",
    "scripts/offline/cli.py": "scripts/docker-engine and scripts/offline-images",
    "scripts/releasing/cli.py": "scripts/release",
    "scripts/suite/cli.py": "scripts/test and scripts/record-durations",
    "loadtest/locustfile.py": "locust -f, the service `locust` of compose.yaml",
}

# Modules without tests/<path>/test_<module>.py, and where they are tested instead. A trailing slash means the folder.
NO_MIRROR = {
    "bench/gateway/aiohttp_proxy.py": "tests/bench/gateway/test_peers.py starts it",
    "bench/gateway/starlette_proxy.py": "tests/bench/gateway/test_peers.py starts it",
    "bench/gateway/__main__.py": "tests/bench/gateway/test_main.py",
    "loadtest/core/errors.py": "only names and exit codes",
    "grafana/panels.py": "tests/grafana/test_dashboards.py, through the dashboard built from it",
    "grafana/query.py": "tests/grafana/test_contract.py, and tests/prometheus/test_live.py runs everything it makes",
    "grafana/queries/": "tests/grafana/test_contract.py asks a recording for every metric it names",
    "grafana/dashboards/": "tests/grafana/test_dashboards.py, panel by panel in what is generated from it",
    "fullbatch/__main__.py": "tests/fullbatch/cli/test_commands.py starts it",
    "fullbatch/core/errors.py": "only names and exit codes; tests/fullbatch/cli/test_commands.py sees each of them",
    "fullbatch/cli/options.py": "tests/fullbatch/cli/test_commands.py, through the command line",
    "fullbatch/cli/follow.py": "tests/fullbatch/cli/test_commands.py and tests/fullbatch/top, through the command line",
    "fullbatch/planning/hardware.py": "tests/fullbatch/planning/test_profile.py, through the profile",
    "fullbatch/runtime/package_folder.py": "tests/fullbatch/lifecycle/test_weights.py, which keeps packages in one",
    "fullbatch/runtime/hub_folder.py": "tests/fullbatch/lifecycle/test_weights.py, which keeps its weights in one",
    "fullbatch/packaged/__main__.py": "tests/fullbatch/packaged/test_main.py",
    "fullbatch/runtime/upgradable.py": "only protocols and fields; tests/fullbatch/upkeep/world.py fills them",
    "fullbatch/runtime/base.py": "only protocols and fields; tests/fullbatch/runtime/test_registry.py fills them",
    "gateway/__main__.py": "tests/gateway start it",
    "gateway/keys/__main__.py": "tests/gateway/keys/test_main.py",
    "launcher/__main__.py": "tests/launcher/test_main.py",
    "gateway/running.py": "tests/gateway start it",
    "gateway/core/call.py": "only fields; tests/gateway/dialects fill them",
    "bench/gateway/affinity.py": "tests/e2e/test_affinity.py runs it with two real engines",
    "gateway/dialects/base.py": "only a protocol",
    "gateway/engines/asking.py": "tests/gateway/test_peers_refused.py, through the program",
    "gateway/engines/spilling.py": "tests/gateway/test_spill.py, through a gateway",
    "gateway/engines/far.py": "tests/gateway/test_peers.py, through two gateways",
    "gateway/api/peer_endpoint.py": "tests/gateway/test_peers.py, through two gateways",
    "gateway/share/server.py": "tests/gateway/share/test_sharing.py, with a real valkey-server",
    "gateway/http/tls.py": "tests/gateway/test_peers.py, with certificates that are wrong in each way",
    "grafana/__main__.py": "tests/grafana/test_main.py",
    "loadtest/__main__.py": "tests/loadtest start it",
    "scripts/gpubench/limits.py": "needs a card; scripts/gpubench/cli.py starts it as a program of its own",
}


@cache
def _files() -> tuple[Path, ...]:
    """What git tracks, and what it would track: ignored files do not count."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return tuple(sorted(Path(name) for name in set(listing.split("\0")) if name and (ROOT / name).is_file()))


@cache
def _modules(*folders: str) -> dict[Path, ast.Module]:
    return {
        path: ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for path in _files()
        if path.suffix == ".py" and path.parts[0] in (folders or PACKAGES)
    }


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(*folders: str) -> Iterator[tuple[str, Function]]:
    for path, tree in _modules(*folders).items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path}: {node.name}", node


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _expect_none(faults: list[str]) -> None:
    left = [fault for fault in faults if not any(fault.startswith(f"{name} ") for name in EXCEPTIONS)]
    if left:
        pytest.fail("\n".join(left), pytrace=False)


def test_there_is_something_to_count() -> None:
    assert {path.parts[0] for path in _modules()} == set(PACKAGES)


def test_files_are_short() -> None:
    both = (*PACKAGES, "tests")
    counted = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in _modules(*both)}
    _expect_none([f"{path} has {n} lines" for path, n in counted.items() if n > FILE_LINES])


def test_functions_are_short() -> None:
    both = _functions(*PACKAGES, "tests")
    _expect_none([f"{name} has {_lines(f)} lines" for name, f in both if _lines(f) > FUNCTION_LINES])


def test_the_median_function_is_short() -> None:
    lengths = sorted(_lines(function) for _, function in _functions())
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION_LINES


def test_functions_take_few_parameters() -> None:
    faults = []
    for name, function in _functions():
        arguments = function.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len([one for one in names if one not in ("self", "cls")])
        if count > PARAMETERS:
            faults.append(f"{name} takes {count} parameters")
    _expect_none(faults)


def test_functions_say_what_they_return() -> None:
    _expect_none([f"{name} has no return type" for name, function in _functions() if function.returns is None])


def test_nothing_is_global() -> None:
    faults = [
        f"{path} line {node.lineno}: global {', '.join(node.names)}"
        for path, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    _expect_none(faults)


def test_a_broad_except_says_why_on_its_line() -> None:
    faults = []
    for path, tree in _modules().items():
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
                comment = lines[node.lineno - 1].partition("#")[2]
                if not re.search(r"\w{3}", re.sub(r"noqa(: *[A-Z]+\d+(, *[A-Z]+\d+)*)?", "", comment)):
                    faults.append(f"{path} line {node.lineno}: {lines[node.lineno - 1].strip()}")
    _expect_none(faults)


def _is_broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or (isinstance(name, ast.Name) and name.id in _BROAD) for name in names)


_BROAD = ("Exception", "BaseException")


def test_the_environment_is_read_in_one_place_per_program() -> None:
    faults = []
    for path, tree in _modules().items():
        place = READS_ENVIRONMENT[path.parts[0]]
        places = place if isinstance(place, tuple) else (place,)
        allowed = any(str(path).startswith(one) if one.endswith("/") else str(path) == one for one in places)
        faults += [f"{path} line {line} reads the environment" for line in _environment_reads(tree) if not allowed]
    _expect_none(faults)


def _environment_reads(tree: ast.Module) -> list[int]:
    found = []
    for node in ast.walk(tree):
        from_os = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        if from_os and isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            found.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [node.lineno for name in node.names if name.name in ("environ", "environb", "getenv")]
    return found


def test_every_module_is_used() -> None:
    used = {name for path, tree in _modules().items() for name in _imports(path, tree)}
    faults = [
        f"{path} is imported by nothing"
        for path in _modules()
        if path.name not in ("__init__.py", "__main__.py")
        and not _listed(path, RUN_BY_NAME)
        and ".".join(path.with_suffix("").parts) not in used
    ]
    _expect_none(faults)


def _imports(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.parts[: -node.level] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def test_every_module_has_a_test_at_its_path() -> None:
    faults = []
    for path, tree in _modules().items():
        has_code = any(isinstance(node, (*Function.__args__, ast.ClassDef)) for node in tree.body)
        if has_code and not _listed(path, NO_MIRROR) and not _mirrors(path) & set(_files()):
            faults.append(f"{path} has no {sorted(map(str, _mirrors(path)))[0]}")
    _expect_none(faults)


def _listed(path: Path, table: dict[str, str]) -> bool:
    return any(str(path) == name or (name.endswith("/") and str(path).startswith(name)) for name in table)


def _mirrors(path: Path) -> set[Path]:
    if path.name == "__init__.py":
        return {Path("tests") / path.parent.parent / f"test_{path.parent.name}.py"}
    return {Path("tests") / path.parent / f"test_{path.stem}.py"}


@pytest.mark.parametrize("table", [RUN_BY_NAME, NO_MIRROR], ids=["RUN_BY_NAME", "NO_MIRROR"])
def test_the_tables_name_only_what_is_there(table: dict[str, str]) -> None:
    assert not [name for name in table if not any(_listed(path, {name: ""}) for path in _modules())]


def test_exceptions_are_still_needed() -> None:
    there = {path for path in _modules(*PACKAGES, "tests")}
    assert not [name for name in EXCEPTIONS if Path(name.split(":")[0]) not in there]
    files = [name for name in EXCEPTIONS if ":" not in name]
    assert not [name for name in files if len((ROOT / name).read_text().splitlines()) <= FILE_LINES]


def test_there_is_a_changelog() -> None:
    assert "## " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
