"""Lines of a real first start of vLLM 0.32.0 (CPU, the tiny model), in their order; long ones are cut."""

from __future__ import annotations

import pytest

from fullbatch.lifecycle import engine_log
from fullbatch.lifecycle.engine_log import STAGES, stage

REAL = [
    ("(APIServer pid=20236) INFO 11-23 14:00:51 [api_utils.py:286] non-default args: {'model_tag': 'cpu-tiny'", None),
    ("(APIServer pid=20236) INFO 11-23 14:00:59 [model.py:733] Resolved architecture: Qwen2ForCausalLM", None),
    (
        "(EngineCore pid=20373) INFO 11-23 14:01:06 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config:",
        "starting the engine core",
    ),
    (
        "(Worker pid=20385) INFO 11-23 14:01:15 [cpu_model_runner.py:68] Starting to load model /models/cpu-tiny...",
        "loading weights",
    ),
    (
        "(Worker pid=20385) INFO 11-23 14:01:16 [cpu_model_runner.py:87] Warming up model for the compilation...",
        "compiling the model",
    ),
    (
        "(Worker pid=20385) INFO 11-23 14:01:45 [decorators.py:743] [backbone] saved AOT compiled function to /cache",
        "compiling the model",
    ),
    ("(Worker pid=20385) INFO 11-23 14:01:46 [cpu_model_runner.py:91] Warming up done.", "model is compiled"),
    (
        "(EngineCore pid=20373) INFO 11-23 14:01:46 [kv_cache_utils.py:2327] CPU KV cache size: 524,288 tokens, "
        "Maximum concurrency for 4,096 tokens per request: 128.00x",
        "KV cache is laid out",
    ),
    (
        "(EngineCore pid=20373) INFO 11-23 14:01:46 [core.py:402] init engine (profile, create kv cache, warmup model) "
        "took 30.20 s",
        "engine is initialised",
    ),
    (
        "(APIServer pid=20236) INFO 11-23 14:01:47 [entry.py:140] Starting vLLM server on http://127.0.0.1:18500",
        "opening the API port",
    ),
    ("INFO:     Application startup complete.", "API server is up"),
]


@pytest.mark.parametrize("length", range(1, len(REAL) + 1))
def test_each_step_of_a_real_start(length: int) -> None:
    found, wanted = stage([line for line, _ in REAL[:length]]), REAL[length - 1][1]
    assert found == wanted or (found and wanted and found.startswith(f"{wanted} ("))


def test_a_log_that_says_nothing_yet() -> None:
    assert stage([]) is None
    assert stage(["nanobind: leaked 4 instances!"]) is None


def test_a_later_stage_is_not_taken_back() -> None:
    """Workers log in their own time: an early line may come after a later one."""
    assert stage([REAL[-1][0], REAL[2][0]]) == "API server is up"


def test_a_tail_of_the_log_is_enough() -> None:
    assert stage([line for line, _ in REAL[-3:]]) == "API server is up"


def test_no_mark_hides_another() -> None:
    marks = [mark for mark, _ in STAGES]
    assert len(marks) == len(set(marks))
    assert all(stage([f"INFO {mark} and more"]) == words for mark, words in STAGES)


def test_the_cause_is_the_first_exception_not_the_last() -> None:
    log = [
        "(EngineCore pid=720) ERROR 11-23 15:12:23 [core.py:1510] EngineCore failed to start.",
        "(EngineCore pid=720) ERROR 11-23 15:12:23 [core.py:1510] Traceback (most recent call last):",
        "(EngineCore pid=720) ERROR 11-23 15:12:23 [core.py:1510] RuntimeError: Too little space in /dev/shm",
        "Traceback (most recent call last):",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
    ]
    assert engine_log.cause(log) == "RuntimeError: Too little space in /dev/shm"
    assert engine_log.cause(log[-1:]) == log[-1]


def test_no_exception_no_cause() -> None:
    assert engine_log.cause(["INFO: an OSError: could be anywhere in a line", "", "all is well"]) is None
