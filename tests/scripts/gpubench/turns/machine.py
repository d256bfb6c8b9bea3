"""A machine with a card that is none: vLLM and nvidia-smi are fakes on a PATH of their own, and models are tiny."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from fullbatch.runtime.base import Ports
from scripts.gpubench import matrix as matrices
from scripts.gpubench import plans, run
from scripts.gpubench.matrix import Matrix, TurnsCell
from tests.fullbatch.checkout import FAKE_VLLM, REPOSITORY, Checkout
from tests.ports import free_port

CELL: dict[str, Any] = {
    "name": "sleep", "models": ["one.5b", "two"], "card": "rtx4090", "together_card": "l40s", "context": 1024,
    "rounds": 1, "people": 4, "seconds": 1.0, "patience_s": 0.5,
}  # fmt: skip


def matrix(**changes: Any) -> Matrix:
    """The shipped one with two tiny models that take turns."""
    shipped = matrices.read(matrices.PLACE / "matrix.yaml").model_dump()
    tiny = {name: {"repository": "tiny"} for name in ("one.5b", "two")}
    return Matrix.model_validate(shipped | {"models": shipped["models"] | tiny, "turns": [CELL | changes]})


def cell(**changes: Any) -> TurnsCell:
    return matrix(**changes).turns[0]


def card(checkout: Checkout, *engine_options: str, used_mib: int = 1000) -> None:
    """Put both programs on the checkout's PATH."""
    text = FAKE_VLLM.format(python=sys.executable, repository=str(REPOSITORY), extra=list(engine_options))
    checkout.program("bin/vllm", text)
    checkout.program(
        "bin/nvidia-smi", f'#!/bin/sh\ncase "$*" in *memory.used,*|*compute*) ;; *) echo {used_mib} ;; esac\n'
    )
    checkout.program("bin/sh", '#!/bin/sh\nexec /bin/sh "$@"\n')


def options(checkout: Checkout, said: list[str], seconds: float = 600.0) -> run.BenchOptions:
    here = plans.Here(139.8, checkout.root / "models")
    (checkout.root / "models").mkdir(exist_ok=True)
    ports = Ports(free_port(), free_port())
    return run.BenchOptions(
        checkout.root, checkout.root / "out", here, None, time.monotonic() + seconds, said.append, ports
    )


def written(options_: run.BenchOptions) -> Path:
    return options_.out / "sleep"
