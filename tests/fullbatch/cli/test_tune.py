"""`fullbatch tune` from its words to its report, with the fake engine; gateways and load test are the real ones."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest

PROFILE = """# Kept.
description: two seats for eight people
model: tiny
hardware: {cpu: {kv_cache_gib: 1}}
users: 8
context: 1024
engine:
  args: {max-num-seqs: 2}
"""
WORDS = (
    *("tune", "few", "--objective", "tokens", "--workload", "seed", "--prompt-tokens", "16", "--max-tokens", "16"),
    *("--budget", "20m"),
)


@pytest.fixture
def few(checkout: Checkout) -> Checkout:
    checkout.engine("--ttft-ms", "20", "--itl-ms", "4")
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    checkout.write("profiles/few.yaml", PROFILE)
    return checkout


def test_a_race_that_was_cut_goes_on_to_the_better_arm_which_is_applied_and_cited(few: Checkout) -> None:
    words = (*WORDS, "--arms", "seats-planned")
    with few.started(*words) as run:
        read_until(run, "round 1, screening: seats-planned")
        run.send_signal(signal.SIGINT)
        said = rest(run)
    assert run.returncode == 130 and "Traceback" not in said
    assert "interrupted; what was measured is kept" in said
    assert few.processes() == []
    (folder,) = (few.root / "reports").iterdir()
    kept = (folder / "journal.jsonl").read_text(encoding="utf-8")
    again = few.run(*words, "--apply", "--json", timeout=500)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "loads are measured already" in again.stderr
    assert (folder / "journal.jsonl").read_text(encoding="utf-8").startswith(kept)
    found = json.loads(again.stdout)
    assert found["verdict"]["word"] == "better" and found["final"]["low"] > 0
    assert (folder / "race.html").read_text(encoding="utf-8").count("<svg") == 2
    assert (folder / "profile.diff").read_text(encoding="utf-8").endswith("-engine:\n-  args: {max-num-seqs: 2}\n")
    assert (few.root / "profiles" / "few.yaml").read_text(encoding="utf-8") == PROFILE.split("engine:")[0]
    assert few.processes() == []
    cited = " ".join(few.run("explain", "few").stdout.split())
    assert "better: seats-planned is better than the plan" in cited and "that is in the profile now" in cited


def test_what_serves_is_not_touched_and_mistakes_start_nothing(few: Checkout) -> None:
    engine = few.root / ".fullbatch" / "engine" / "bin" / "vllm"
    for words, said in (
        (("tune", "few"), "give the promise"),
        (("tune", "few", "--slo", "ttft_p95=1s", "--budget", "soon"), "write a time such as 90s"),
        ((*WORDS, "--workload", "nosuch"), "there is no 'nosuch'"),
    ):
        run = few.run(*words)
        assert run.returncode == 2 and said in run.stderr and "Traceback" not in run.stderr
    plan = few.run(*WORDS, "--plan")
    assert "seats-planned: max-num-seqs as planned" in plan.stdout and not (few.root / "reports").exists()
    engine.write_text(engine.read_text(encoding="utf-8").replace("import os", "sys = 1/0\nimport os"), encoding="utf-8")
    broken = few.run(*WORDS)
    assert broken.returncode == 5 and "the plan itself does not start" in broken.stderr
    assert few.processes() == []
