"""vLLM beside llama.cpp's server, for real: both on the CPU, the same tiny model, the same prompts, one report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
LLAMA = ROOT / ".fullbatch" / "llama" / "tiny.gguf"

needs_llama = pytest.mark.skipif(
    not LLAMA.exists(), reason="llama.cpp's server is not there; run scripts/llama-server install"
)


@contextmanager
def llama(port: int, seats: int, model: str = "tiny") -> Iterator[str]:
    """Its address; so many seats of 1,024 tokens each."""
    words = [model, "--host", "127.0.0.1", "--port", str(port), "--alias", "tiny"]
    words += ["--parallel", str(seats), "--ctx-size", str(seats * 1024)]
    log = subprocess.DEVNULL
    process = subprocess.Popen([ROOT / "scripts" / "llama-server", "run", *words], cwd=ROOT, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(partial(_answers, f"{url}/health", process), 120, "llama.cpp's server")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"it ended with {process.returncode}"
    urllib.request.urlopen(url, timeout=2).close()
    return True


@needs_llama
def test_llama_cpp_answers_our_load_in_full(free_port: Callable[[], int], tmp_path: Path) -> None:
    """Exact lengths, token counts and a proper end: what a fair comparison needs of it."""
    with llama(free_port(), seats=4) as url:
        words = ["run", "--base-url", url, "--model", "tiny", "--users", "1,4", "--requests-per-user", "2"]
        words += ["--max-tokens", "16", "--max-lag-ms", "1000", "--out", str(tmp_path)]
        command = [sys.executable, "-m", "loadtest", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for stage in json.loads((tmp_path / "report.json").read_text())["stages"]:
        client = stage["client"]
        assert client["failures"] == {} and client["no_usage"] == client["too_long"] == client["too_short"] == 0
        assert client["output_tokens"] == 16 * client["requests"]
        assert 0.8 < client["prompt_tokens"] / client["requests"] / 128 < 1.2


@needs_llama
@pytest.mark.engine
@pytest.mark.parametrize("kind", ["q4_1", "bf16"])
def test_llama_cpp_answers_with_the_packaged_models_weights(kind: str, free_port: Callable[[], int]) -> None:
    question = {"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 60, "temperature": 0}
    with llama(free_port(), seats=1, model=kind) as url:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(question).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.loads(response.read())["choices"][0]["message"]["content"]
    assert "Rayleigh" in answer or "scatter" in answer, answer


@needs_llama
@pytest.mark.engine
def test_vllm_and_llama_cpp_in_one_run(free_port: Callable[[], int], tmp_path: Path) -> None:
    with llama(free_port(), seats=5) as url:
        words = ["compare", "cpu-tiny", f"llama={url},model=tiny", "--out", str(tmp_path)]
        words += ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
        words += ["--", "--users", "1,5", "--requests-per-user", "2", "--max-tokens", "32", "--repeats", "2"]
        done = subprocess.run(
            [sys.executable, "-m", "fullbatch", *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: this machine was too busy to be believed
    report = json.loads((tmp_path / "report.json").read_text())
    assert [side["name"] for side in report["sides"]] == ["cpu-tiny", "llama"]
    assert len(report["stages"]) == 8
    lengths = {side: set[float]() for side in ("cpu-tiny", "llama")}
    for stage in report["stages"]:
        assert stage["client"]["failures"] == {}
        assert stage["client"]["output_tokens_mean"] == 32
        lengths[stage["side"]].add(stage["client"]["prompt_tokens"] / stage["client"]["requests"])
    for tokens in lengths.values():
        assert all(0.8 < length / 128 < 1.2 for length in tokens), "both have the same tokenizer"
