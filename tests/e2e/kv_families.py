"""Run by the engine's own Python: how many tokens this very vLLM says its cache holds, for tiny models of each family.

Reads {"asked": engine arguments, "models": name -> config.json} on standard input; the last line it writes is
name -> tokens.
Random weights, no tokenizer, nothing compiled, one process. Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def tokens(config: dict[str, Any], asked: dict[str, int]) -> int:
    from vllm import LLM

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        engine = LLM(model=folder, skip_tokenizer_init=True, load_format="dummy", enforce_eager=True, **asked)
        return int(engine.llm_engine.vllm_config.cache_config.kv_cache_size_tokens)


def look_at_models_here() -> None:
    """vLLM asks each new architecture what it is in a process of its own, lest CUDA be initialised: 8 s each."""
    from vllm.model_executor.models import registry

    assert callable(registry._run_in_subprocess), "this vLLM has it no more; see whether it can go here too"
    registry._run_in_subprocess = lambda ask: ask()


def main() -> None:
    look_at_models_here()
    wanted = json.load(sys.stdin)
    found = {name: tokens(config, wanted["asked"]) for name, config in wanted["models"].items()}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
