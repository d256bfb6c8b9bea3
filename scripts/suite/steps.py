"""What the whole suite consists of, and what has to be over before each part of it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

PYTEST = (".venv/bin/python", "-m", "pytest")
# The two cores of a small machine are kept busy: many of these tests wait for a timer or for another process.
WORKERS = "3"
# A real engine loads for half a minute, mostly on one core: two rows of them (with three, and Docker's beside them, 80
# processes wanted two cores, and none came up in time). The files of this one start engines of their own; all others
# are in the first, where `fullbatch up` and the like have this checkout to themselves.
ROWS = {
    "engine-tests-2": (
        "tests/e2e/real",
        "tests/e2e/test_adapters.py",
        "tests/e2e/test_affinity.py",
        "tests/e2e/test_cancellation.py",
        "tests/e2e/test_dashboards.py",
        "tests/e2e/test_dataset_cache.py",
        "tests/e2e/test_drafting.py",
        "tests/e2e/test_kv_families.py",
        "tests/e2e/test_launcher_engine.py",
        "tests/e2e/test_replicas.py",
        "tests/gateway/bodies/test_compile_cost_engine.py",
    ),
}


@dataclass(frozen=True)
class Step:
    """One program with a log of its own.

    A step that only prepares may fail: the tests that need it are then skipped and say so, and in CI a skip fails.
    ``again``: runs once more what failed, alone; ``caches``: where pytest keeps what that was.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    prepares: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()


def pytest(name: str, *words: str, after: tuple[str, ...]) -> Step:
    cache = f".fullbatch/suite/cache/{name}"
    command = (*PYTEST, "-o", f"cache_dir={cache}")
    again = (*command, "--last-failed", "--last-failed-no-failures=none")
    return Step(
        name, (*command, f"--junitxml=.fullbatch/suite/{name}.xml", *words), after, again=again, caches=(cache,)
    )


def behind(step: Step) -> Step:
    """The same, with no more of the cores than a real engine, which gives way as well (fullbatch/runtime/priority.py).

    Linux weighs sessions against each other before it looks at niceness within one: each step is a session.
    """
    way = '{ echo 10 > /proc/self/autogroup; } 2>/dev/null; exec nice -n 10 "$@"'
    return replace(step, command=("sh", "-c", way, "sh", *step.command))


def prepares(name: str, *command: str, after: tuple[str, ...] = ()) -> Step:
    return Step(name, command, after, prepares=True)


STEPS = (
    prepares("programs", "scripts/test-programs"),
    prepares("prometheus", "scripts/prometheus-tools"),
    prepares("engine", "scripts/install-engine"),
    prepares("peers", "scripts/bench-peers", "envoy", "vllm-router", after=("programs",)),
    prepares("clients", "scripts/test-clients"),
    prepares("drawing", "scripts/test-clients", "drawing", after=("clients",)),
    prepares("llama", "scripts/llama-server", "install", after=("prometheus",)),
    Step("check", ("scripts/check",), after=("programs",)),
    # Beside them the downloads go on.
    behind(
        pytest(
            "side-by-side", "-n", WORKERS, "--dist", "loadscope", "--no-loadscope-reorder",
            "-m", "not engine and not docker",
            after=("programs", "prometheus", "peers", "clients", "drawing"),
        )
    ),
    pytest(
        "engine-tests", "-m", "engine", *(f"--ignore={file}" for row in ROWS.values() for file in row),
        after=("engine", "llama", "prometheus"),
    ),
    *(
        pytest(name, "-m", "engine", *row, after=("engine", "prometheus", "clients", "drawing"))
        for name, row in ROWS.items()
    ),
    # They start the Docker Engine, build its images and start engines in it: when half of the rest is over.
    behind(pytest("docker-tests", "-m", "docker", after=("programs", "compiled"))),
    behind(
        Step(
            "compiled", ("scripts/test-compiled",), after=("programs", "engine"),
            again=("scripts/test-compiled", "--last-failed", "--last-failed-no-failures=none"),
            caches=(".fullbatch/compiled/cache/0", ".fullbatch/compiled/cache/1"),
        )
    ),
)  # fmt: skip
