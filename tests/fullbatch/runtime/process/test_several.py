"""Two models as processes, with the fake engine in place of vLLM: each answers under its own name."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from fullbatch.runtime.tinymodel import write_model
from tests.fullbatch.checkout import Checkout
from tests.fullbatch.runtime.process.started import Words

TWO = """\
description: d
hardware: {cpu: {kv_cache_gib: 1}}
models: [{model: tiny, users: 4}, {model: MINE, users: 4, context: 1024, aliases: [mine]}]
"""


def _ask(words: Words, key: str, model: str) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{words.gateway}/v1/completions",
        json.dumps({"model": model, "prompt": "x", "max_tokens": 2}).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.loads(answer.read())["model"])


def test_up_status_and_down_of_two_models(checkout: Checkout, words: Words, tmp_path: Path) -> None:
    checkout.engine()
    mine = tmp_path / "mine"
    write_model(mine)
    checkout.write("profiles/two.yaml", TWO.replace("MINE", str(mine)))
    up = checkout.run(*words.up("two"))
    assert up.returncode == 0, up.stderr
    assert f"models: tiny, {mine}" in up.stdout
    key = (checkout.root / ".fullbatch/run/two/api_keys").read_text(encoding="utf-8").split()[0]
    assert [_ask(words, key, model) for model in ("tiny", str(mine), "mine")] == ["tiny", str(mine), str(mine)]
    (found,) = json.loads(checkout.run("status", "--json").stdout)
    assert set(found["processes"]) == {"engine-tiny", "engine-mine", "gateway"}
    assert json.loads(checkout.run("top", "--once", "--json", "--interval", "0.2").stdout)["engines_up"] == 2
    assert "engine-mine| " in checkout.run("logs", "--tail", "1").stdout.replace(" ", "").replace("|", "| ")
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def test_a_model_that_does_not_start_is_named(checkout: Checkout, words: Words, tmp_path: Path) -> None:
    checkout.broken_engine('import sys; print("RuntimeError: no", flush=True); sys.exit(1)')
    write_model(tmp_path / "mine")
    checkout.write("profiles/two.yaml", TWO.replace("MINE", str(tmp_path / "mine")))
    up = checkout.run(*words.up("two"))
    assert up.returncode != 0
    assert "fullbatch: the engine-" in up.stderr, "whichever of the two was seen first"
    assert "the cause it names: RuntimeError: no" in up.stderr
    assert checkout.processes() == []
