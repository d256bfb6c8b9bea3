"""Real vLLM processes, with the tiny model unless told, without anything else of ours around them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import psutil

from fullbatch.runtime.process import niceness
from fullbatch.runtime.tinymodel import write_if_missing
from tests.ports import free_port
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".fullbatch"
MODEL = HOME / "models" / "cpu-tiny"
START_S = 240.0
# Two unused entries of the tiny tokenizer become the marks of reasoning; its model can then be said to reason.
THINK = {"<think>": " w0000", "</think>": " w0001"}
# As the templates of models whose thinking can be turned off: then it has ended before the answer begins.
_OPENS = "{% if add_generation_prompt %}"
_ENDED = "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"


def reasoning_model(folder: Path) -> Path:
    """A copy of the tiny model whose whole answers are reasoning for vLLM's parser `qwen3`, unless it is turned off."""
    write_if_missing(MODEL)
    copy = folder / "reasoning"
    shutil.copytree(MODEL, copy)
    path = copy / "tokenizer.json"
    text = path.read_text()
    for mark, unused in THINK.items():
        text = text.replace(json.dumps(unused), json.dumps(mark))
    path.write_text(text)
    config = copy / "tokenizer_config.json"
    template = json.loads(config.read_text())
    begins, opens, rest = template["chat_template"].rpartition(_OPENS)
    said = rest.replace("{% endif %}", _ENDED + "{% endif %}")
    assert opens and said != rest
    config.write_text(json.dumps(template | {"chat_template": begins + opens + said}))
    return copy


def environment() -> dict[str, str]:
    """What a tiny engine needs on this machine's processor."""
    cache = HOME / "cache"
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_USE_AOT_COMPILE": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
    }


class VLLM:
    """One engine on loopback; ``words`` are added to its command. It is up after `wait`.

    ``name``: what the model is served as; ``loads``: vLLM's load format, `dummy` for random weights.
    """

    def __init__(
        self, folder: Path, *words: str, model: Path = MODEL, name: str = "tiny", loads: str = "dummy"
    ) -> None:
        write_if_missing(MODEL)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"vllm-{self.port}.log"
        command = [
            str(HOME / "engine" / "bin" / "vllm"), "serve", str(model), "--served-model-name", name,
            "--max-model-len", "4096", "--max-num-seqs", "32", "--load-format", loads,
            "--host", "127.0.0.1", "--port", str(self.port), *words,
        ]  # fmt: skip
        env = os.environ | environment()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        niceness.give_way(self.process.pid)  # at equal priority gateway and test wait for a core for seconds

    def wait(self) -> None:
        wait_for(self._answers, START_S, lambda: self._log.read_text()[-3000:])

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        return self.get("/health") == ""

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return str(answer.read(), "utf-8")

    def metric(self, name: str) -> float:
        found = re.search(rf"^vllm:{name}{{.*}} (\S+)$", self.get("/metrics"), re.MULTILINE)
        assert found, f"the engine reports no {name}"
        return float(found.group(1))

    def running(self) -> float:
        return self.metric("num_requests_running") + self.metric("num_requests_waiting")

    def core(self) -> psutil.Process:
        """The process that makes the tokens; the one that was started only speaks HTTP."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if "EngineCore" in " ".join([child.name(), *child.cmdline()]))

    def stop(self) -> None:
        tree = [psutil.Process(self.process.pid)] if self.process.poll() is None else []
        tree += [child for parent in tree for child in parent.children(recursive=True)]
        for one in tree:
            one.kill()
        psutil.wait_procs(tree, timeout=10)
        self.process.wait(10)
