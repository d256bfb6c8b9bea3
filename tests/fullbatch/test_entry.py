"""The wheel, installed outside the checkout: a folder is laid out and served from without git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from fullbatch.layout import listing
from fullbatch.runtime.compose import config
from tests.fullbatch.checkout import FAKE_VLLM, REPOSITORY
from tests.ports import free_port


class Installed:
    """An environment with the wheel in it, and nothing of the checkout."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.wheel = folder, wheel
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        python = str(folder / "venv" / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, "--no-compile", str(wheel)], check=True)
        # What it depends on, from the environment of the tests: a path alone, so that no .pth file in there is read.
        site = folder / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *words: str, here: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`fullbatch WORDS`, typed in `here`, or where nothing is."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKER", "COMPOSE", "PYTHON"))
        }
        environment = kept | {"DOCKER_HOST": f"unix://{self.folder}/no-docker.sock", "PATH": "/nowhere"}
        nowhere = self.folder / "nowhere"
        nowhere.mkdir(exist_ok=True)
        return subprocess.run(
            [self.folder / "venv" / "bin" / "fullbatch", *words], cwd=here or nowhere, env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built from what git would track, in a folder of its own: a build leaves files behind."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in listed:
        if not name.startswith(("tests/", "bench/", "docs/results/", "docs/images/")) and (REPOSITORY / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPOSITORY / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*build, str(made), str(source)], capture_output=True, text=True, check=True)
    return Installed(tmp_path_factory.mktemp("installed"), next(made.glob("*.whl")))


@pytest.fixture(scope="module")
def house(installed: Installed) -> Path:
    """Laid out by it."""
    folder = installed.folder / "house"
    done = installed.run("init", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_a_folder_to_run_from_and_no_more(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = f"fullbatch/{listing.DATA}/"
    packages = {name for name in held if not name.startswith(data)}
    assert {name.partition("/")[0] for name in packages} == {"common", "fullbatch"}
    assert packages | {name.removeprefix(data) for name in held - packages} == set(listing.sources(REPOSITORY))


def test_without_a_folder_it_plans_and_says_what_it_needs_for_more(installed: Installed) -> None:
    plan = installed.run(*"plan --model Qwen/Qwen2.5-7B-Instruct --gpu rtx4090 --users 50 --context 2048".split())
    assert plan.returncode == 0, plan.stderr
    assert "KV cache" in plan.stdout
    assert installed.run("plan", "rtx4090-qwen2.5-7b").returncode == 0
    up = installed.run("up", "cpu-tiny")
    assert (up.returncode, up.stderr.count("\n")) == (2, 1)
    assert "fullbatch init DIR" in up.stderr


def test_the_laid_out_folder_is_rendered_and_checked_as_a_clone_is(installed: Installed, house: Path) -> None:
    assert installed.run("render", "--check", here=house).stdout == ""
    assert installed.run("plan", "cpu-tiny", here=house / "profiles").returncode == 0
    for name in listing.sources(REPOSITORY):
        assert (house / name).read_bytes() == (REPOSITORY / name).read_bytes(), name
    assert os.access(house / "scripts" / "install-engine", os.X_OK)


@pytest.mark.parametrize("profile", ["cpu-smollm2", "cpu-tiny", "cpu-turns"])
def test_compose_finds_in_the_folder_all_that_it_mounts_and_builds(house: Path, profile: str) -> None:
    program = config.compose_program()
    assert program is not None
    environment = {"PROFILE": profile, "PATH": "/usr/bin:/bin", "HOME": str(house)}
    done = subprocess.run(
        [*program, "--profile", "*", "config", "--format", "json"], cwd=house, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    services = json.loads(done.stdout)["services"].values()
    mounts = [one["source"] for service in services for one in service.get("volumes", ()) if one["type"] == "bind"]
    ours = [Path(one) for one in mounts if one.startswith(str(house))]
    built = [Path(one["build"]["context"], one["build"]["dockerfile"]) for one in services if "build" in one]
    assert len(ours) > 5 and len(built) >= 2
    assert [one for one in (*ours, *built) if not one.exists()] == []
    # And what the Dockerfiles copy from there.
    words = [line.split() for path in built for line in path.read_text().splitlines() if line.startswith("COPY ")]
    copied = [name for line in words if not any("--from" in one for one in line) for name in line[1:-1]]
    lost = [name for name in copied if not name.startswith("--") and not (house / name).exists()]
    assert len(copied) > 5 and lost == []


def test_the_code_of_the_folder_is_what_runs_in_it(installed: Installed, house: Path) -> None:
    version = house / "common" / "version.py"
    before = version.read_text()
    version.write_text('VERSION = "0.0.7"\n')
    try:
        assert installed.run("--version", here=house).stdout.startswith("fullbatch 0.0.7,")
        assert not installed.run("--version").stdout.startswith("fullbatch 0.0.7,")
    finally:
        version.write_text(before)


def test_it_serves_is_load_tested_and_stops(installed: Installed, house: Path) -> None:
    fake = FAKE_VLLM.format(python=sys.executable, repository=str(REPOSITORY), extra=["--kv-tokens", "524288"])
    program = house / ".fullbatch" / "engine" / "bin" / "vllm"
    program.parent.mkdir(parents=True)
    program.write_text(fake)
    program.chmod(0o755)
    port = free_port()
    up = installed.run("up", "cpu-tiny", "--runtime", "process", "--gateway-port", str(port), here=house)
    try:
        assert up.returncode == 0, up.stderr
        answer = installed.run("chat", "What is two and two, please?", "--json", here=house)
        assert answer.returncode == 0 and json.loads(answer.stdout)["answer"], answer.stderr
        words = ["run", "--users", "2", "--requests-per-user", "2", "--prompt-tokens", "16", "--max-tokens", "4"]
        load = installed.run("loadtest", *words, "--out", str(house / "reports" / "one"), here=house)
        assert load.returncode in (0, 3), load.stderr  # 3: this machine was too slow to call it a measurement
        assert (house / "reports" / "one" / "report.html").is_file()
        assert installed.run("status", here=house).returncode == 0
    finally:
        down = installed.run("down", here=house)
    assert down.returncode == 0, down.stderr
