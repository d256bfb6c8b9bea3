"""What the card itself reaches: bytes a second of a copy, and of 16-bit matrix products. Needs PyTorch and a card.

Run as a program of its own, so that its memory is free again: `python -m scripts.gpubench.limits` prints JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

_COPY_GIB, _MATRIX, _ROUNDS = 4, 8192, 20


def measure() -> dict[str, Any]:
    """Name, memory in GiB as torch reports it, GB/s read and written by a copy, TFLOP/s of a bf16 product."""
    import torch  # type: ignore[import-not-found]  # only where there is a card

    card = torch.cuda.get_device_properties(0)
    return {
        "card": card.name,
        "memory_gib": round(card.total_memory / 2**30, 2),
        "torch": torch.__version__,
        "copy_gbs": round(_copy_gbs(torch)),
        "bf16_tflops": round(_bf16_tflops(torch)),
    }


def _copy_gbs(torch: Any) -> float:
    source = torch.randn(_COPY_GIB * 2**28, device="cuda")
    target = torch.empty_like(source)
    seconds = _median(torch, lambda: target.copy_(source))
    return float(2 * source.numel() * source.element_size() / seconds / 1e9)


def _bf16_tflops(torch: Any) -> float:
    left = torch.randn(_MATRIX, _MATRIX, device="cuda", dtype=torch.bfloat16)
    right = torch.randn_like(left)
    return float(2 * _MATRIX**3 / _median(torch, lambda: left @ right) / 1e12)


def _median(torch: Any, work: Callable[[], Any]) -> float:
    """Seconds of one call, the median of twenty after three that do not count."""
    found = []
    for number in range(_ROUNDS + 3):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if number >= 3:
            found.append(begin.elapsed_time(end) / 1000)
    return float(sorted(found)[len(found) // 2])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
