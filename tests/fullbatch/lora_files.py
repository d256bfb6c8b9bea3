"""Makes LoRA adapters as PEFT writes them: adapter_config.json, and safetensors of random numbers."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

from fullbatch.runtime import tinymodel

Shapes = dict[str, tuple[int, int]]


def config(rank: int = 8, **changes: Any) -> dict[str, Any]:
    """An adapter_config.json; None takes a key away."""
    made = {
        "peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "v_proj"], "bias": "none",
        "task_type": "CAUSAL_LM", "base_model_name_or_path": None, **changes,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


def shapes(rank: int = 8, *, hidden: int = tinymodel.HIDDEN, layers: int = tinymodel.LAYERS) -> Shapes:
    """Of the matrices beside queries and values, by default of the tiny model."""
    widths = {"q_proj": tinymodel.HEADS * tinymodel.HEAD_DIM, "v_proj": tinymodel.KV_HEADS * tinymodel.HEAD_DIM}
    found: Shapes = {}
    for layer in range(layers):
        for module, width in widths.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            found[f"{name}.lora_A.weight"] = (rank, hidden)
            found[f"{name}.lora_B.weight"] = (width, rank)
    return found


def safetensors(found: Shapes, scale: float = 0.1) -> bytes:
    """A file of float32 numbers, always the same."""
    numbers, header, place = random.Random(7), {}, 0
    parts = []
    for name, (rows, columns) in found.items():
        part = struct.pack(f"<{rows * columns}f", *(numbers.gauss(0, scale) for _ in range(rows * columns)))
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [place, place + len(part)]}
        place += len(part)
        parts.append(part)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def write(folder: Path, rank: int = 8, *, scale: float = 0.1, **changes: Any) -> Path:
    """An adapter of the tiny model in `folder`, which is made."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config(rank, **changes)), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(safetensors(shapes(rank), scale))
    return folder
