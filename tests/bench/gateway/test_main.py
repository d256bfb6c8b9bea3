"""The command line: what is chosen, what is told, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.gateway.__main__ import main, parse, rotated
from bench.gateway.peers import ALL, CANDIDATES
from bench.gateway.processes import LoadedServer
from tests.bench.gateway.test_report import cells


def chosen(*arguments: str) -> list[str]:
    return [peer.name for peer in parse(list(arguments)).peers]


def test_all_are_measured_unless_some_are_chosen() -> None:
    assert chosen() == [peer.name for peer in ALL]
    assert chosen("--only", "nginx,ours") == ["ours", "nginx"]
    assert chosen("--candidates") == list(CANDIDATES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "ngnix"], "no gateway 'ngnix'; there are ours, ours-interpreted, haproxy, nginx"),
        (["--rounds", "0"], "--rounds must be 1 or more"),
        (["--only", "ours", "--candidates"], "not allowed with"),
    ],
)
def test_a_wrong_argument_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("names", ["ab", "abc", "abcd", "abcde", "abcdefghij"])
def test_another_target_is_first_in_each_round(names: str) -> None:
    targets = [LoadedServer(name, 1) for name in names]
    orders = ["".join(target.name for target in rotated(targets, number)) for number in range(3)]
    assert len({order[0] for order in orders}) == min(3, len(names))
    assert all(sorted(order) == list(names) for order in orders)


def test_runs_are_pooled_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for number, rps in enumerate((10000, 30000)):
        file = tmp_path / f"{number}.json"
        content = {
            "machine": "a box",
            "rounds": [{"direct": cells(40000), "ours": cells(rps)}],
            "once": {},
            "absent": {},
        }
        file.write_text(json.dumps(content))
        files.append(str(file))
    both = tmp_path / "both.json"
    assert main(["--pool", *files, "--json", str(both)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a box; 2 interleaved rounds")
    assert "| ours | 20000 | 0.500 |" in out
    assert len(json.loads(both.read_text())["rounds"]) == 2


def test_a_file_that_is_none_of_ours_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"a": 1}')
    assert main(["--pool", str(file)]) == 4
    assert capsys.readouterr().err == f"bench.gateway: {file}: not what --json writes\n"
