"""A project put under other images, through a `docker` of the test's own; tests/e2e/test_docker_upgrade.py does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullbatch.core.errors import HostError, UsageError
from fullbatch.runtime import dotenv
from fullbatch.runtime.compose import deployment, pulling, upgrade
from fullbatch.runtime.compose.images import ENGINE_IMAGE, GATEWAY_DEFAULT, GATEWAY_IMAGE
from fullbatch.runtime.upgradable import ImageWish, RunningImage
from tests.fullbatch.checkout import REPOSITORY

# It knows one image by name, `known`, and another by its id.
DOCKER = """
echo "$*" >> '{log}'
case "$1 $2 $3 $4 $5" in
"image inspect --format {{{{.Id}}}} known:1") echo sha256:1 ;;
"image inspect --format {{{{.Id}}}} fullbatch/gateway:local") echo sha256:g ;;
"image inspect --format {{{{.Id}}}} "*) echo "no such image" >&2; exit 1 ;;
"image ls"*) echo fullbatch-kept/gateway:t1 ;;
run*) [ -z "$PARSER" ] || echo "$PARSER" ;;
*) echo ;;
esac
"""


def container(service: str, reference: str, identity: str, status: str = "running") -> SimpleNamespace:
    attrs: dict[str, object] = {
        "Config": {"Image": reference},
        "Image": identity,
        "RestartCount": 2,
        "State": {"Status": "running"},
    }
    attrs["NetworkSettings"] = {"Ports": {}}
    labels = {"com.docker.compose.service": service}
    return SimpleNamespace(labels=labels, attrs=attrs, status=status, id=service, name=service)


@pytest.fixture
def log(tmp_path: Path, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    there = [
        container("gateway", GATEWAY_DEFAULT, "sha256:g"),
        container("engine", "known:1", "sha256:1"),
        container("engine", "known:1", "sha256:1"),
        container("secrets", GATEWAY_DEFAULT, "sha256:old", "exited"),
    ]

    def containers(service: str | None = None) -> list[SimpleNamespace]:
        return [one for one in there if service in (None, one.labels["com.docker.compose.service"])]

    monkeypatch.setattr(deployment, "containers", containers)
    for name in (GATEWAY_IMAGE, ENGINE_IMAGE, "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rendered").symlink_to(REPOSITORY / "rendered")
    (tmp_path / "compose.yaml").symlink_to(REPOSITORY / "compose.yaml")
    programs("docker", DOCKER.format(log=tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def stack(log: Path) -> upgrade.ComposeUpgrade:
    return upgrade.ComposeUpgrade(log.parent, "cpu-tiny")


def say(_line: str) -> None:
    pass


def test_what_runs(stack: upgrade.ComposeUpgrade) -> None:
    found = stack.images()
    assert found[GATEWAY_IMAGE] == RunningImage("gateway", GATEWAY_DEFAULT, "sha256:g")
    assert found[ENGINE_IMAGE].id == "sha256:1" and len(found) == 2, "what nobody has started is not there"
    assert stack.services() == {"gateway": 1, "engine": 2}


def test_what_is_wished_for(stack: upgrade.ComposeUpgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack.target(ImageWish("0.2.0")) == {GATEWAY_IMAGE: "fullbatch/gateway:0.2.0"}
    assert stack.target(ImageWish(images={"model": "e:2"})) == {ENGINE_IMAGE: "e:2"}, "by any service that has it"
    plain = stack.target(ImageWish())
    assert plain[GATEWAY_IMAGE] == GATEWAY_DEFAULT and plain[ENGINE_IMAGE].startswith("vllm/")
    with pytest.raises(UsageError, match="--image engin: no such service .did you mean engine"):
        stack.target(ImageWish(images={"engin": "e:2"}))
    with pytest.raises(UsageError, match="--to a b: is no tag"):
        stack.target(ImageWish("a b"))
    monkeypatch.setenv(ENGINE_IMAGE, "e:1")
    with pytest.raises(UsageError, match=f"{ENGINE_IMAGE} is set in this shell and goes before .env"):
        stack.target(ImageWish(images={"engine": "e:2"}))


@pytest.mark.parametrize(
    ("reference", "repository"),
    [("a/b:1", "a/b"), ("b", "b"), ("h:5000/b", "h:5000/b"), ("h:5000/a/b:1@sha256:2", "h:5000/a/b")],
)
def test_a_tag_goes_to_the_same_repository(reference: str, repository: str) -> None:
    assert upgrade._repository(reference) == repository


def test_what_is_here_is_not_pulled_and_what_is_nowhere_is_one_line(
    stack: upgrade.ComposeUpgrade, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = []

    def pull(reference: str) -> None:
        pulled.append(reference)
        raise HostError("denied")

    monkeypatch.setattr(pulling, "pull", pull)
    assert stack.fetch({ENGINE_IMAGE: "known:1"}, say) == {ENGINE_IMAGE: "sha256:1"}
    assert not pulled
    with pytest.raises(HostError) as told:
        stack.fetch({ENGINE_IMAGE: "e:9"}, say)
    assert str(told.value) == "e:9: is not here and cannot be pulled: denied" and pulled == ["e:9"]
    assert stack.fetch({GATEWAY_IMAGE: GATEWAY_DEFAULT}, say) == {GATEWAY_IMAGE: "sha256:g"}
    assert "compose --project-name fullbatch build gateway" in log.read_text()


def test_only_a_new_engine_reads_its_flags(
    stack: upgrade.ComposeUpgrade, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSER", '["vllm serve: error: unrecognized arguments: --load-format dummy"]')
    stack.rehearse({GATEWAY_IMAGE: "g:2"}, {}, say)
    with pytest.raises(HostError, match="e:2 does not take the flags of profile cpu-tiny.*--load-format"):
        stack.rehearse({ENGINE_IMAGE: "e:2", GATEWAY_IMAGE: "g:3"}, {}, say)
    runs = [line for line in log.read_text().splitlines() if line.startswith("run ")]
    assert ["--entrypoint=python3 e:2" in line for line in runs] == [False, True], "and no gateway is tried after it"


def test_the_switch_is_in_env_and_only_what_runs_is_started(stack: upgrade.ComposeUpgrade, log: Path) -> None:
    stack.switch({GATEWAY_IMAGE: GATEWAY_DEFAULT, ENGINE_IMAGE: "e:2"}, say)
    assert dotenv.read(log.parent) == {ENGINE_IMAGE: "e:2"}, "a default needs no line"
    up = log.read_text().splitlines()[-1]
    assert up.endswith("up --detach --no-build --pull=never --scale engine=2 engine gateway")


def test_names_mean_again_what_they_meant(stack: upgrade.ComposeUpgrade, log: Path) -> None:
    same, other = RunningImage("engine", "known:1", "sha256:1"), RunningImage("gateway", GATEWAY_DEFAULT, "sha256:0")
    pinned = RunningImage("prometheus", "p@sha256:5", "sha256:5")
    stack.point_back({"a": same, "b": other, "c": pinned})
    assert [line for line in log.read_text().splitlines() if line.startswith("tag ")] == [
        f"tag sha256:0 {GATEWAY_DEFAULT}"
    ]
    stack.keep({"b": other}, "t1")
    upgrade.forget("t1")
    assert log.read_text().splitlines()[-3:] == [
        "tag sha256:0 fullbatch-kept/gateway:t1",
        "image ls --format {{.Repository}}:{{.Tag}} fullbatch-kept/*:t1",
        "image rm fullbatch-kept/gateway:t1",
    ]


def test_an_engine_that_had_died_long_before_is_no_fault_of_the_new_version(
    stack: upgrade.ComposeUpgrade, plan_of: Callable[[str], object]
) -> None:
    awaited = stack.deployment(plan_of("cpu-tiny"))  # type: ignore[arg-type]
    assert awaited.failure() is None
    again = container("engine", "known:1", "sha256:1")
    again.attrs["RestartCount"] = 3
    assert awaited.restarts(again) == 1  # type: ignore[arg-type]
