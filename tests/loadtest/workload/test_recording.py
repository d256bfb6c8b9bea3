"""Traces made of a gateway's log."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from common import trace_file
from loadtest.workload.recording import Recording, record
from tests.common.test_trace_file import LOG


def test_a_trace_has_times_lengths_and_groups_and_never_a_name_or_a_text() -> None:
    lines = [
        "INFO listening on 127.0.0.1:8080",
        json.dumps(LOG),
        "gateway-1  | " + json.dumps(LOG | {"time": 1003.5, "key": "bob", "address": "10.1.2.3"}),
        json.dumps(LOG | {"time": 1004.0, "status": 503}),
        json.dumps({"time": 1.0, "lines_dropped": 3}),
        json.dumps(LOG | {"time": 1002.5}),
        "{",
        "",
    ]
    out = io.StringIO()
    found = record([io.BytesIO("\n".join(lines).encode())], out)
    assert found == Recording(3, 4, 3.0)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(one["at_s"], one["group"]) for one in said] == [(0, 1), (3, 2), (2, 1)]
    assert set(said[0]) == {"at_s", "prompt_tokens", "output_tokens", "cached_tokens", "group", "model"}
    assert not any(word in out.getvalue() for word in ("alice", "bob", "10.1.2.3", '"r"', "1000"))


def test_only_what_is_recent_enough() -> None:
    logs = [io.BytesIO(json.dumps(LOG | {"time": at}).encode() + b"\n") for at in (10.0, 1000.0, 2000.0)]
    assert record(logs, io.StringIO(), since=500).requests == 2


def test_the_command_writes_a_trace_that_both_programs_take(tmp_path: Path) -> None:
    log, out = tmp_path / "gateway.log", tmp_path / "trace.jsonl"
    log.write_text("".join(json.dumps(LOG | {"time": 1000.0 + at}) + "\n" for at in range(5)), encoding="utf-8")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loadtest", "record", "--out", str(out), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, input="")

    done = run("--log", str(log))
    assert done.returncode == 0 and "5 requests in 0.0 h; 0 other lines left out" in done.stdout
    assert len(trace_file.read(out, 9).requests) == 5
    for words, said in (
        (("--log", str(log)), "is there already; remove it, or give another"),
        (("--log", str(tmp_path / "none")), "No such file"),
        (("--log", "-"), "no answered request in -"),
        (("--log", str(log), "--since", "7d"), "no answered request in"),
        (("--log", str(log), "--since", "soon"), "write a time such as 90m, 12h or 7d"),
        ((), "give --log FILE; beside Docker Compose"),
    ):
        if "already" not in said:
            out.unlink(missing_ok=True)
        refused = run(*words)
        assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
