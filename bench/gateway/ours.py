"""The configuration that our gateway is measured with: everything on. The one place to add a setting."""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.gateway.request import KEY, MODEL

KEY_FILE = "api_keys"


def write_config(folder: Path, port: int, engine_port: int) -> Path:
    """Write gateway.yaml and what it names into ``folder``; returns the path of gateway.yaml."""
    (folder / KEY_FILE).write_text(f"{KEY}\n")
    engine = {
        "name": "engine",
        "url": f"http://127.0.0.1:{engine_port}",
        "models": [MODEL],
        "max_num_seqs": 256,
        "max_num_batched_tokens": 2048,
        "max_model_len": 4096,
        "kv_cache_tokens": 1048576,
    }
    settings = {"listen": {"port": port}, "api_keys_file": KEY_FILE, "deployment": "bench", "engines": [engine]}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
