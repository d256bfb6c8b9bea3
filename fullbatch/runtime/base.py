"""What a runtime is, to everybody above: how a plan is started, and how what runs is found again without its profile.

A further runtime derives from these, and is one line in `registry`. What has a body here need not be said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fullbatch.core.check_result import CheckResult
from fullbatch.core.errors import StateError
from fullbatch.planning.plan import Plan
from fullbatch.planning.plan_facts import PlanFacts
from fullbatch.runtime.hub_cache import Revision

if TYPE_CHECKING:
    from fullbatch.runtime.upgradable import Upgradable

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ports:
    """Loopback ports. `engine`: the first engine's, the others count up; None: sockets that nobody else can reach.

    `metrics`: where gateway and engines tell a Prometheus everything; None: a socket likewise.
    """

    gateway: int = 8080
    engine: int | None = None
    metrics: int | None = None

    def engines(self, count: int) -> list[int]:
        """Those of `count` engines; none where they listen on sockets."""
        return [] if self.engine is None else [self.engine + number for number in range(count)]


@dataclass(frozen=True)
class Held:
    """What of this machine is ours: `processes` by pid, `published` ports of containers; each with its profile."""

    processes: Mapping[int, str] = field(default_factory=dict)
    published: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckedFiles:
    """`problems`: what is wrong, a line each. `skipped`: what could not be looked at here, and why."""

    problems: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class Awaited(Protocol):
    """What was started, while it is waited for until a real token has come back."""

    gateway_url: str

    def api_key(self) -> str:
        """The key a client needs; read anew each time."""

    def log_tail(self, lines: int) -> list[str]:
        """The engine's last lines of log."""

    def unready(self) -> list[str]:
        """The engines that do not answer yet, of several; with one alone the token says it."""
        return []

    def failure(self) -> str | None:
        """Why it can no longer become ready, in one line; None while it may."""


class Deployment(Awaited, Protocol):
    """A plan that is started here and waited for."""

    @property
    def where_the_key_is(self) -> str:
        """What shows the API key, for a person."""

    def preflight(self) -> None:
        """HostError or StateError, with all reasons at once, when it cannot be started here."""

    def start(self, say: Say) -> None:
        """Start everything; HostError when that fails."""

    def stop(self, say: Say) -> None:
        """End everything that was started; also after `start` has failed half-way."""

    def being_stopped(self) -> bool:
        """Whether another command ends it now, or has ended it."""
        return False

    def remember(self) -> bool:
        """Make the runtime's own commands mean what was started; whether that changed anything."""
        return False


class MeasuredDeployment(Deployment, Protocol):
    """One that a load test measures from this machine."""

    @property
    def api_keys_file(self) -> Path:
        """The file with the API key."""

    def engine_urls(self) -> list[str]:
        """Where the engines answer, once they are started."""

    def engine_pids(self) -> list[int]:
        """The roots of the engines' process trees."""


@dataclass(frozen=True)
class DeadEngine:
    """An engine that has ended by itself: its service, and its log's last lines."""

    service: str
    log: list[str]


class RunningDeployment(Protocol):
    """What runs, or has run, known by what was written when it was started: its profile may be changed or gone."""

    profile: str
    runtime: str
    gateway_url: str
    facts: PlanFacts | None

    def api_key(self) -> str:
        """A key that a client on this machine may use; empty where none is known."""
        return ""

    def gateway_metrics(self) -> str:
        """The gateway's `/metrics`; empty when it does not answer."""

    def engine_metrics(self) -> str:
        """The `/metrics` of every engine, one after the other; empty when none answers."""

    def engine_log(self, lines: int) -> list[str]:
        """The first engine's last `lines` of log."""

    def dead_engines(self, lines: int, answers: bool) -> list[DeadEngine]:
        """Each engine that has died, with `lines` of its log. `answers`: whether the gateway is healthy."""
        return []

    def engine_memory_gib(self) -> float | None:
        """Main memory of all engines, GiB; None where it cannot be told."""
        return None

    def parts(self) -> dict[str, int]:
        """Its processes of this machine by name; empty where there are none."""
        return {}

    def show_logs(self, lines: int, following: bool, write: Callable[[str], object]) -> int:
        """Write the last `lines` of each part, and what comes after if asked; an exit code."""

    def run_gateway_module(self, module: str, words: Sequence[str], given: str = "") -> int:
        """Run a program of the gateway's, such as `gateway.keys`, on its key store; its exit code.

        `given`: for its standard input, where nobody sees it; empty: this process's own.
        """

    def stop(self, say: Say, *, volumes: bool = False) -> None:
        """End it. `volumes`: weights, keys and history too; UsageError where it has none."""


class WeightStore(Protocol):
    """A place that keeps weights. `shared`: other programs keep theirs there too."""

    where: str
    shared: bool

    def revisions(self) -> list[Revision]:
        """What lies there."""

    def remove(self, chosen: Sequence[tuple[str, str]]) -> int:
        """Take away these revisions (name, revision); bytes freed."""


class Runtime(Protocol):
    """A way to run plans. `name`: what `--runtime` calls it; `about`: what plans then run as, for a person."""

    name: str
    about: str

    def problem(self) -> str | None:
        """Why it cannot be used on this machine, `finding; fix` in one line; None when it can."""
        return None

    def deployment(self, root: Path, plan: Plan, ports: Ports) -> Deployment:
        """`plan`, to be started in the checkout at `root`."""

    def running(self, root: Path) -> Sequence[RunningDeployment]:
        """Everything that this checkout runs so."""

    def stopped(self, root: Path, profile: str | None) -> RunningDeployment | None:
        """What is left of `profile` (None: of anything) though it does not run: keys, usage, logs, volumes."""
        return None

    def files(self, root: Path, plan: Plan) -> dict[str, str]:
        """What of it is committed: paths below `rendered/PROFILE/` -> text."""
        return {}

    def check_files(self, root: Path, names: Sequence[str]) -> CheckedFiles:
        """Faults of the committed files of the profiles `names`, beside being stale."""
        return CheckedFiles()

    def engine_commands(self, root: Path, name: str) -> dict[str, list[str]]:
        """The engine commands in the committed files of a profile, as an engine would get them: where -> words."""
        return {}

    def present(self, plan: Plan | None, instead: str | None) -> list[CheckResult]:
        """What of this machine it needs. `instead`: what plans run as, when another runtime was chosen."""
        return []

    def examine(self, root: Path, plan: Plan, ports: Ports, held: Held) -> list[CheckResult]:
        """What would keep `plan` from running so. `held`: what is ours already."""
        return []

    def held(self, root: Path) -> Held:
        """Processes and ports of this machine that it holds now."""
        return Held()

    def last_log(self, root: Path, plan: Plan, lines: int) -> list[str]:
        """The engine's log of the last run of `plan`, when that is over; empty without one."""
        return []

    def weights(self, root: Path) -> list[WeightStore]:
        """Where the weights of its engines lie; empty where there is no such place yet."""
        return []

    def kept_state(self, root: Path) -> dict[str, bytes]:
        """Keys, usage and secrets that it keeps, as they are now: a name with its folder -> content.

        HostError when there are some and they cannot be read.
        """
        return {}

    def put_state(self, root: Path, files: Mapping[str, bytes]) -> None:
        """Put back what `kept_state` gave; nothing may run. HostError when that fails."""
        return None

    def store_version(self, root: Path) -> int | None:
        """The newest version of a key store that its gateway knows; None where there is no gateway to ask yet."""
        return None

    def upgradable(self, root: Path, profile: str) -> Upgradable:
        """What runs of `profile`, or has run; StateError where its version is not made of images."""
        raise StateError(
            f"'{profile}' runs as {self.about}, whose version is the checkout's; to change it: fullbatch backup, "
            "fullbatch down, git checkout VERSION, scripts/setup, fullbatch up (docs/operating.md)"
        )

    def starts_at_boot(self, root: Path) -> CheckResult | None:
        """Whether what runs comes back after a boot by itself; None where that needs a unit of systemd's."""
        return None

    def forget_images(self, root: Path, stamp: str) -> None:
        """Those that were kept for the backup `stamp` may be pruned."""
        return None

    def local_ca(self, root: Path) -> str:
        """The root certificate, PEM, of the local CA that its HTTPS is made with; empty where there is none."""
        return ""

    def client_settings(self, root: Path) -> dict[str, str]:
        """Variables by which a load test of this checkout finds what runs, where that is one deployment alone."""
        return {}


@dataclass(frozen=True)
class ExportWishes:
    """What a person says of an export beside its profile. `publish`: the gateway's port on the machines; None: none."""

    publish: int | None = None


class ExportTarget(Protocol):
    """Something of others that runs what is written for it. `name`: what `fullbatch export` calls it; `next_step`:
    what to type then, below the folder."""

    name: str
    about: str
    next_step: str

    def refusals(self, plan: Plan, wishes: ExportWishes) -> list[str]:
        """What of `plan` it cannot carry, `setting: why; what would do` in a line each."""
        return []

    def notes(self, plan: Plan, wishes: ExportWishes) -> list[str]:
        """What is otherwise there than under Compose, a line each."""
        return []

    def files(self, root: Path, plan: Plan, wishes: ExportWishes) -> dict[str, str]:
        """What it is given: path below the folder -> text."""

    def check(self, plan: Plan, wishes: ExportWishes) -> list[CheckResult]:
        """Whether the one that this shell reaches would take `plan`; UsageError where it cannot be asked."""
