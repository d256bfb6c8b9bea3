"""A new engine's own parser is asked before the switch: through a `docker` of the test's own that answers for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.runtime.compose import engine_flags_check
from tests.fakes import later_vllm
from tests.fullbatch.checkout import REPOSITORY

# What the container's Python does: the text after -c, with these arguments on its standard input.
DOCKER = "echo \"$*\" | /usr/bin/head -n 1 > {log}; /bin/cat > {given}; echo noise; echo '{answer}'"


def test_a_dropped_flag_is_refused_by_its_name(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    """By engine_parser itself, on a parser that does not know one flag of the profile."""
    commands, _ = engine_flags_check._commands(REPOSITORY, "cpu-tiny", {})
    later_vllm.write(tmp_path, commands["engine"], ["--load-format"])
    run = 'for last; do :; done; text=; for word; do [ "$before" != -c ] || text=$word; before=$word; done'
    programs("docker", f'{run}\nPYTHONPATH={tmp_path} exec {sys.executable} -c "$text"')
    with pytest.raises(HostError) as told:
        engine_flags_check.check(REPOSITORY, "cpu-tiny", "e:2", {}, lambda _line: None)
    assert str(told.value) == (
        "e:2 does not take the flags of profile cpu-tiny, and nothing was changed: "
        "engine: vllm: error: unrecognized arguments: --load-format dummy"
    )


def test_it_reads_what_will_be_rendered(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    log, given = tmp_path / "log", tmp_path / "given"
    programs("docker", DOCKER.format(log=log, given=given, answer="[null]"))
    path = "rendered/rtx4090-qwen2.5-7b/compose.yaml"
    text = (REPOSITORY / path).read_text().replace('"--enable-prompt-tokens-details"', '"--of-tomorrow"')
    said: list[str] = []
    state = {path: text.encode(), "gateway-state/store": b"other"}
    engine_flags_check.check(REPOSITORY, "rtx4090-qwen2.5-7b", "e:2", state, said.append)
    assert said == ["rehearsal: e:2 reads the engine's flags"]
    (command,) = json.loads(given.read_text())
    assert command[0] == "Qwen/Qwen2.5-7B-Instruct" and "--of-tomorrow" in command
    assert "--gpus=all" in log.read_text() and "--network=none" in log.read_text()


@pytest.mark.parametrize("answer", ["echo 'No module named vllm' >&2; exit 1", "exit 0", "echo what"])
def test_one_that_cannot_be_asked_is_said(answer: str, programs: Callable[[str, str], None]) -> None:
    programs("docker", answer)
    said: list[str] = []
    engine_flags_check.check(REPOSITORY, "cpu-tiny", "e:2", {}, said.append)
    assert len(said) == 2 and said[1].startswith("its parser cannot be asked (")
