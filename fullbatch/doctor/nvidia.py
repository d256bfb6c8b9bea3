"""Reads the output of `nvidia-smi`. Everything but `read` is pure."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

CARDS_QUERY = "index,uuid,name,driver_version,memory.total,memory.used,memory.free,compute_cap"
HOLDERS_QUERY = "gpu_uuid,pid,process_name,used_memory"
_FORMAT = "--format=csv,noheader,nounits"
_TIMEOUT = 20.0
_NEVER_SAID = "nvidia-smi says nothing about cards"

# A piece of what nvidia-smi prints when it fails -> what it means, what to do.
FAILURES = (
    (
        "couldn't communicate with the NVIDIA driver",
        "the NVIDIA driver is not loaded",
        "sudo modprobe nvidia; if that fails install the driver anew (580 or newer) and restart this machine",
    ),
    (
        "Driver/library version mismatch",
        "the NVIDIA driver was updated while the old one is still loaded",
        "restart this machine",
    ),
    (
        "Failed to initialize NVML: Unknown Error",
        "this container has lost its cards (it happens when the host runs `systemctl daemon-reload`)",
        "create the container anew; with Docker's cgroupfs driver or CDI devices it does not come back",
    ),
    (
        "Insufficient Permissions",
        "this user may not open the cards",
        "sudo usermod -aG video,render $USER, then log in again",
    ),
    ("No devices were found", "the driver runs but finds no card", "lspci | grep -i nvidia; dmesg | grep -i nvrm"),
)


@dataclass(frozen=True)
class InstalledCard:
    """One card; memory in MiB. `memory_mib` is what a program can have: the driver's own reserve is not in it."""

    index: int
    uuid: str
    name: str
    driver: str
    free_mib: int
    memory_mib: int
    capability: str


@dataclass(frozen=True)
class Holder:
    """A process with memory on a card; `used_mib` is None where the driver does not tell (WSL2, other users)."""

    uuid: str
    pid: int
    name: str
    used_mib: int | None


@dataclass(frozen=True)
class Nvidia:
    """`problem` and `fix` say in one line each why nothing is known of cards; None when something is."""

    cards: tuple[InstalledCard, ...] = ()
    holders: tuple[Holder, ...] = ()
    problem: str | None = None
    fix: str = ""


def parse_cards(text: str) -> tuple[InstalledCard, ...]:
    """The cards in the CSV answer to CARDS_QUERY; lines that are no card are passed over."""
    cards = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 8 or not parts[0].isdigit():
            continue
        index, uuid, name, driver, total, used, free, capability = parts
        # With unified memory (GB10, Jetson) the driver answers [N/A].
        numbers = [_mib(total), _mib(used), _mib(free)]
        memory = (numbers[1] or 0) + (numbers[2] or 0) or numbers[0] or 0
        cards.append(InstalledCard(int(index), uuid, name, driver, numbers[2] or 0, memory, capability))
    return tuple(cards)


def parse_holders(text: str) -> tuple[Holder, ...]:
    """The processes in the CSV answer to HOLDERS_QUERY."""
    holders = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        # A path may hold commas; the first two and the last field cannot.
        if len(parts) >= 4 and parts[1].isdigit():
            holders.append(Holder(parts[0], int(parts[1]), ",".join(parts[2:-1]), _mib(parts[-1])))
    return tuple(holders)


def explain(text: str) -> tuple[str, str]:
    """What a failed nvidia-smi means, and what to do."""
    for piece, meaning, fix in FAILURES:
        if piece in text:
            return meaning, fix
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"nvidia-smi fails: {said[:200]}" if said else _NEVER_SAID, "run nvidia-smi and mend what it says"


def read() -> Nvidia:
    """What this machine's `nvidia-smi` says."""
    if shutil.which("nvidia-smi") is None:
        return Nvidia(
            problem="no NVIDIA driver (nvidia-smi is not on the PATH)",
            fix="install the driver, 580 or newer; in a container start it with --gpus all",
        )
    code, text = _ask("--query-gpu", CARDS_QUERY)
    cards = parse_cards(text) if code == 0 else ()
    if not cards:
        problem, fix = explain(text)
        return Nvidia(problem=problem, fix=fix)
    code, text = _ask("--query-compute-apps", HOLDERS_QUERY)
    return Nvidia(cards, parse_holders(text) if code == 0 else ())


def _ask(query: str, fields: str) -> tuple[int, str]:
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"{query}={fields}", _FORMAT],
            capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"no answer in {_TIMEOUT:.0f} s; the driver hangs"
    except OSError as error:
        return 1, str(error)
    return answer.returncode, answer.stdout + answer.stderr


def _mib(text: str) -> int | None:
    number = text.removesuffix("MiB").strip()
    return int(number) if number.isdigit() else None
