from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.cli import commands


def test_a_swarm_and_a_cluster_are_written_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stack"
    assert commands.main(["export", "swarm", "cpu-tiny", "--out", str(out), "--publish", "8080"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("cpu-tiny as a stack of Docker Swarm: ") and (out / "stack.yaml").is_file()
    assert any(line.startswith("other than under Compose: port 8080: on every address") for line in said)
    assert said[-1] == f"next, in {out}: docker stack deploy --compose-file stack.yaml fullbatch"
    assert commands.main(["export", "kubernetes", "cpu-tiny", "--out", str(tmp_path / "k")]) == 0
    assert "kubectl apply --kustomize overlays/serve" in capsys.readouterr().out
    assert (tmp_path / "k/overlays/serve/kustomization.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["kubernetes", "cpu-tiny", "--publish", "8080"], "profiles/cpu-tiny.yaml: --publish: nothing is published"),
        (["swarm", "h100x8x2-llama3.1-405b"], "profiles/h100x8x2-llama3.1-405b.yaml: hardware.nodes: "),
        (["swarm", "cpu-tny"], "cpu-tny"),
        (["kubernetes", "cpu-tiny", "--check"], "export kubernetes --check: ask the cluster itself"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert commands.main(["export", *words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_swarm_is_asked_before_anything_is_written(
    programs: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    programs("docker", 'echo \'{"LocalNodeState": "inactive"}\'')
    assert commands.main(["export", "swarm", "cpu-tiny", "--check", "--out", str(tmp_path / "out")]) == 4
    assert "this is no manager of a Swarm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_swarm_without_a_card_is_named_before_anything_starts(
    programs: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A manager takes such a stack without a word, and its engines stay "Pending"."""
    node = (
        '[{"Description": {"Hostname": "a", "Engine": {"EngineVersion": "28.5.2"}}, "Status": {"State": "ready"}, '
        '"Spec": {"Availability": "active"}}]'
    )
    programs(
        "docker",
        f"""case "$1 $2" in
        "info --format") echo '{{"LocalNodeState": "active", "ControlAvailable": true}}';;
        "node ls") echo id1;;
        "node inspect") echo '{node}';;
        "secret ls") printf 'fullbatch_api_keys\\nfullbatch_grafana_password\\nfullbatch_hf_token\\n';;
        *) echo "asked for more: $*" >&2; exit 1;;
        esac""",
    )
    words = ["export", "swarm", "rtx4090x2-llama3.1-8b-fp8", "--check", "--out", str(tmp_path / "out")]
    assert commands.main(words) == 1
    said = capsys.readouterr().out
    assert "no machine has said that it has a card (gpu); 2 are needed" in said and "node-generic-resources" in said
    assert not (tmp_path / "out").exists()
