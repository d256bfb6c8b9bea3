"""The engines of a deployment: their words, their sockets and ports, their cards."""

from __future__ import annotations

import json
import signal
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fullbatch.core.errors import HostError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Ports
from fullbatch.runtime.compose.config import engine_commands
from fullbatch.runtime.process.deployment import ProcessDeployment
from fullbatch.runtime.process.engine_process import program
from tests.fullbatch.checkout import Checkout, read_until, rest
from tests.fullbatch.runtime.process.started import SERVED, TELLS, Words, log_of, pid_of, state_file, wait_says


def test_a_card_profile_on_a_machine_without_one(checkout: Checkout, words: Words) -> None:
    up = checkout.run(*words.up("rtx4090-qwen2.5-7b"))
    assert up.returncode == 4
    assert "profiles/rtx4090-qwen2.5-7b.yaml wants 1 NVIDIA card(s), the driver reports: none" in up.stderr
    assert "no `vllm` on the PATH" in up.stderr
    assert not (checkout.root / ".fullbatch" / "run").exists()


def test_without_the_engine_it_says_how_to_install_it(checkout: Checkout, words: Words) -> None:
    up = checkout.run(*words.up())
    assert up.returncode == 4
    assert up.stderr == "fullbatch: vLLM's CPU wheel is not installed; run scripts/install-engine\n"


def test_the_engine_on_the_path_is_used_for_cards(
    plan_of: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plan_of("rtx4090-qwen2.5-7b").engines[0]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="no `vllm` on the PATH"):
        program(tmp_path, engine)
    (tmp_path / "vllm").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "vllm").chmod(0o755)
    assert program(tmp_path, engine) == str(tmp_path / "vllm")


def test_processes_run_the_rendered_command(checkout: Checkout, plan_of: Callable[[str], Plan]) -> None:
    """Compose's words after the image's own `vllm serve`, but for the model's place, host and port."""
    deployment = ProcessDeployment(checkout.root, plan_of("cpu-tiny"), Ports(gateway=9, engine=1234))
    program, serve, model, *words = deployment.engine_command("vllm", 0)
    rendered = engine_commands(checkout.root, "cpu-tiny")["engine"]
    assert (program, serve) == ("vllm", "serve")
    assert model == str(checkout.root / ".fullbatch" / "models" / "cpu-tiny")
    assert words[:-4] == rendered[1:-4]
    assert (words[-4:], rendered[-4:]) == (
        ["--host", "127.0.0.1", "--port", "1234"],
        ["--host", "0.0.0.0", "--port", "8000"],
    )


def test_the_engine_really_gets_the_rendered_words(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine("import sys\nprint(*sys.argv[1:], flush=True)\nsys.exit(3)\n")
    assert checkout.run(*words.up()).returncode == 5
    said = (checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "engine.log").read_text(encoding="utf-8").split()
    assert said[0] == "serve"
    assert said[2:-2] == engine_commands(checkout.root, "cpu-tiny")["engine"][1:-4]
    assert said[-2] == "--uds" and said[-1].endswith("/engine.sock")


def test_an_engines_sockets_lie_where_their_names_fit_and_only_we_get_in(
    checkout: Checkout, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes 107 characters for a socket's path; a deep checkout has them in the folder for temporary files."""
    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    checkout.broken_engine(TELLS)
    folder = checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "ipc"
    assert checkout.run(*words.up()).returncode == 5
    name, place, is_folder = log_of(checkout, "cpu-tiny", "engine")[0].split()
    assert (name, is_folder) == ("VLLM_RPC_BASE_PATH", "True")
    assert (place == str(folder)) == (len(str(folder)) + 37 <= 107)
    assert not Path(place).exists(), "what an engine leaves there goes with it"


def test_an_engine_keeps_its_modules_compiled(checkout: Checkout, words: Words) -> None:
    """Whatever the shell says: read from source in four processes, they took half of a start."""
    assert checkout.environment()["PYTHONDONTWRITEBYTECODE"] == "1"
    checkout.broken_engine(TELLS)
    assert checkout.run(*words.up()).returncode == 5
    assert "PYTHONDONTWRITEBYTECODE None False" in log_of(checkout, "cpu-tiny", "engine")


def test_engines_are_open_to_nobody_else(checkout: Checkout, words: Words) -> None:
    """On loopback every user of the machine could pass keys, limits and accounting by."""
    checkout.engine()
    assert checkout.run(*words.up()).returncode == 0
    known = json.loads(state_file(checkout).read_text(encoding="utf-8"))
    path = Path(known["engine_urls"]["engine"].removeprefix("unix:"))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(state_file(checkout).parent.stat().st_mode) == 0o700, "logs too"
    engine = psutil.Process(pid_of(checkout, "engine"))
    family = [engine, *engine.children(recursive=True)]
    listening = [one.laddr for process in family for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert listening == []
    # Likewise what every key uses: on the gateway's port nobody reads it, `top` does beside the engines.
    with urllib.request.urlopen(f"http://127.0.0.1:{words.gateway}/metrics", timeout=10) as answer:
        assert b'key="' not in answer.read()
    assert Path(known["metrics_url"].removeprefix("unix:")).parent == path.parent
    told = json.loads(checkout.run("top", "--once", "--json", "--interval", "0.2").stdout)
    assert [one["name"] for one in told["keys"]] == ["first"] and told["engines_up"] == 1
    assert checkout.run("down").returncode == 0
    assert not path.parent.exists()


def test_engines_on_ports_where_that_was_asked_for(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    assert checkout.run(*words.up(on_ports=True)).returncode == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{words.engine}/health", timeout=10) as answer:
        assert answer.status == 200
    assert checkout.run("down").returncode == 0


def test_copies_are_processes_of_their_own_behind_one_gateway(checkout: Checkout, words: Words) -> None:
    checkout.engine("--kv-tokens", "524288")
    text = (checkout.root / "profiles/cpu-tiny.yaml").read_text(encoding="utf-8")
    checkout.write("profiles/two.yaml", text.replace("hardware: {cpu:", "hardware: {replicas: 2, cpu:"))
    up = checkout.run(*words.up("two"))
    assert up.returncode == 0, up.stdout + up.stderr
    (found,) = json.loads(checkout.run("status", "--json").stdout)
    assert set(found["processes"]) == {"engine", "engine-2", "gateway"}
    assert found["kv_tokens_planned"] == found["kv_tokens_reported"] == 2 * 524_288
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def have_weights(repository: Path) -> None:
    """In the hub's cache, so that nobody asks the hub."""
    for name, text in {"refs/main": "c", **dict.fromkeys(SERVED, "{}")}.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, encoding="utf-8")


def test_each_copy_sees_its_own_cards(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_weights(tmp_path / "hub" / "models--RedHatAI--Meta-Llama-3.1-8B-Instruct-FP8")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    checkout.program("bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA GeForce RTX 4090, 24564 MiB'\necho 'the same, again'\n")
    checkout.program("bin/vllm", f"#!{sys.executable}\n{TELLS.replace('sys.exit(1)', 'import time; time.sleep(60)')}")
    with checkout.started(*words.up("rtx4090x2-llama3.1-8b-fp8")) as up:
        read_until(up, "starting the gateway")
        for engine, card in (("engine", "0"), ("engine-2", "1")):
            line = f"CUDA_VISIBLE_DEVICES {card} False"
            wait_says(checkout, "rtx4090x2-llama3.1-8b-fp8", engine, line)
            # As nvidia-smi and Docker number them, not the fastest first.
            order = "CUDA_DEVICE_ORDER PCI_BUS_ID False"
            wait_says(checkout, "rtx4090x2-llama3.1-8b-fp8", engine, order)
        up.send_signal(signal.SIGINT)
        rest(up)


def test_the_card_that_a_profile_names(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first drives the screen."""
    have_weights(tmp_path / "hub" / "models--Qwen--Qwen2.5-1.5B-Instruct")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    text = (checkout.root / "profiles/rtx4090-qwen2.5-1.5b.yaml").read_text(encoding="utf-8")
    checkout.write("profiles/second.yaml", text.replace("{gpu: rtx4090}", "{gpu: rtx4090, device_ids: [1]}"))
    checkout.program("bin/nvidia-smi", "#!/bin/sh\necho 'a GeForce'\necho 'NVIDIA GeForce RTX 4090, 24564 MiB'\n")
    checkout.program("bin/vllm", f"#!{sys.executable}\n{TELLS.replace('sys.exit(1)', 'import time; time.sleep(60)')}")
    with checkout.started(*words.up("second")) as up:
        read_until(up, "starting the gateway")
        wait_says(checkout, "second", "engine", "CUDA_VISIBLE_DEVICES 1 False")
        up.send_signal(signal.SIGINT)
        rest(up)


def test_a_profile_for_several_machines_is_none_for_processes(
    checkout: Checkout, plan_of: Callable[[str], Plan]
) -> None:
    with pytest.raises(UsageError, match="is for several machines; start it with Docker Compose on each"):
        ProcessDeployment(checkout.root, plan_of("h100x8x2-llama3.1-405b"), Ports()).preflight()


def test_kv_cache_on_disk_is_kept_in_bounds_beside_the_engine(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_weights(tmp_path / "hub" / "models--Qwen--Qwen2.5-1.5B-Instruct")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    text = (checkout.root / "profiles/rtx4090-qwen2.5-1.5b.yaml").read_text(encoding="utf-8")
    checkout.write("profiles/kept.yaml", text + "kv_offload: {ram_gib: 1, disk: {quota_gib: 1}}\n")
    checkout.program("bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA GeForce RTX 4090, 24564 MiB'\n")
    checkout.program("bin/vllm", f"#!{sys.executable}\n{TELLS.replace('sys.exit(1)', 'import time; time.sleep(60)')}")
    folder = checkout.root / ".fullbatch" / "kv-offload" / "kept"
    with checkout.started(*words.up("kept")) as up:
        read_until(up, "starting the gateway")
        names = [" ".join(one.cmdline()) for one in checkout.processes()]
        assert any(f"fullbatch.runtime.kv_prune {folder} --quota-gib 1" in one for one in names), names
        assert any(f'"root_dir":"{folder}"' in one for one in names)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        up.send_signal(signal.SIGINT)
        rest(up)
    assert checkout.processes() == []
