"""`python -m loadtest run` as a program, against an engine whose delays and faults are known."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.paced import paced
from tests.loadtest.programs import ROOT, fake_engine, loadtest, quick, read_report, run_all, turn, under_locust
from tests.loadtest.scripted import MODELS, json_answer, scripted


@pytest.fixture(scope="module")
def finished(engine: tuple[str, int], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(folder, stdout) of one whole run, watched, with a meta and a target."""
    url, pid = engine
    out = tmp_path_factory.mktemp("run")
    (out / "meta.json").write_text(json.dumps({"engine": "fake", "flags": ["--max-num-seqs", "64"], "<b>": "</style>"}))
    (out / "target.yaml").write_text(
        "version: 1\ntargets:\n  - {name: three, users: 3, metric: total_time_s, below: 30}\n"
    )
    watched = {"engine_metrics": f"{url}/metrics", "pid": pid, "sample_interval": 0.05}
    judged = {"meta": out / "meta.json", "target": out / "target.yaml"}
    done = loadtest(*quick(url, out, max_tokens=40, **watched, **judged))
    assert (done.returncode, done.stderr) == (0, "")
    return out, done.stdout


def test_the_numbers_are_those_of_the_engine(finished: tuple[Path, str]) -> None:
    """40 ms to the first token, 39 gaps of 10 ms. The floor is physics; the roof is wide, for the box is busy."""
    for stage, users in zip(read_report(finished[0])["stages"], (1, 3), strict=True):
        client = stage["client"]
        assert (stage["users"], client["requests"], client["failures"]) == (users, 2 * users, {})
        assert 39 <= client["ttft_ms"]["p50"] < 400
        assert 7 <= client["itl_ms"]["p50"] < 40
        assert 8 <= client["tpot_ms"]["mean"] < 40
        assert client["output_tokens"] == 2 * users * 40
        assert 2 * 0.42 < client["total_time_s"] < 10
        assert client["output_tokens_per_s"] == pytest.approx(client["output_tokens"] / client["total_time_s"])


def test_what_the_engine_showed_is_joined_to_the_stages(finished: tuple[Path, str]) -> None:
    for stage in read_report(finished[0])["stages"]:
        server = stage["server"]
        assert server["batch_peak"] == stage["users"]
        assert server["engine_tokens"] == stage["client"]["output_tokens"]
        assert 0 < server["kv_peak"] < 0.1 and server["preemptions"] == 0
        assert server["memory_peak_bytes"] > 5 * 2**20


def test_prompts_are_unique_and_of_the_wanted_length(finished: tuple[Path, str]) -> None:
    report = read_report(finished[0])
    at = report["records"]["columns"].index("prompt_tokens")
    assert all(56 <= row[at] <= 72 for row in report["records"]["rows"])
    assert [stage["server"]["prefix_hit_ratio"] for stage in report["stages"]] == [0, 0]


def test_the_report_keeps_its_schema(finished: tuple[Path, str]) -> None:
    schema = json.loads((ROOT / "loadtest" / "report" / "report_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = read_report(finished[0])
    jsonschema.validate(report, schema)
    assert schema["properties"]["records"]["properties"]["columns"]["const"] == report["records"]["columns"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**report, "surprise": 1}, schema)


def test_progress_and_table_are_readable(finished: tuple[Path, str]) -> None:
    lines = finished[1].splitlines()
    assert "stage 2/2: 3 users …" in lines
    assert max(map(len, lines[:-1])) <= 120
    header = next(line for line in lines if line.startswith("users"))
    assert "TTFT p50/p95" in header and "failures" in header
    assert "verdict: 1 of 1 targets met, none missed." in lines


def test_the_page_fetches_nothing_and_escapes_what_it_was_given(finished: tuple[Path, str]) -> None:
    page = (finished[0] / "report.html").read_text()
    assert "<svg" in page and "--max-num-seqs 64" in page and "&lt;/style&gt;" in page
    for way_out in ("src=", "href=", "url(", "@import", "<script"):
        assert way_out not in page


def test_report_writes_the_same_page_again(finished: tuple[Path, str]) -> None:
    before = (finished[0] / "report.html").read_bytes()
    (finished[0] / "report.html").unlink()
    again = loadtest("report", finished[0])
    assert again.returncode == 0
    assert (finished[0] / "report.html").read_bytes() == before


def test_the_key_is_sent_and_kept_out_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("# for the load test\n\nfb-very-secret\n")
    with fake_engine(ttft_ms=1, itl_ms=1) as (url, _):
        done = loadtest(*quick(url, tmp_path, users="1", api_key_file=tmp_path / "key"), "--json")
    assert json.loads(done.stdout)["verdict"]["kind"] == "clean"
    assert "stage 1/1" in done.stderr
    assert "fb-very-secret" not in (tmp_path / "report.json").read_text() + (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("before-headers", "cut"), ("mid-stream", "cut"), ("no-done", "cut"), ("error-event", "in-stream error")],
)
def test_an_engine_with_a_fault_is_named_and_the_run_is_invalid(tmp_path: Path, fault: str, outcome: str) -> None:
    with fake_engine(ttft_ms=1, itl_ms=1) as (url, _):
        turn(url, fault=fault)
        done = loadtest(*quick(url, tmp_path, users="2"))
    assert done.returncode == 3
    assert read_report(tmp_path)["stages"][0]["client"]["failures"] == {outcome: 4}
    assert "Not one good answer" in done.stdout


def test_an_engine_that_stalls_in_the_run_does_not_hold_it(tmp_path: Path) -> None:
    """Once the two probes are answered it says nothing but that it lives."""

    def script(body: dict[str, Any]) -> Iterator[tuple[float, bytes]]:
        yield 0.0, event("")
        if len(asked) > 2 and body["stream"]:
            yield from [(0.05, b": keep-alive\n\n")] * 200
        yield 0.0, event("a", "length") + usage(9, 1) + DONE

    asked: list[dict[str, Any]] = []
    with paced(script, asked) as url:
        done = loadtest(*quick(url, tmp_path, users="2", warmup=0, first_token_timeout=0.3, stall_timeout=0.3))
    assert done.returncode == 3
    assert read_report(tmp_path)["stages"][0]["client"]["failures"] == {"timeout": 4}


def test_an_engine_that_answers_nothing_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with fake_engine() as (url, _):
        turn(url, fault="stall")
        done = loadtest(*quick(url, tmp_path, first_token_timeout=0.5))
    assert done.returncode == 4 and not (tmp_path / "report.json").exists()
    assert "a first request failed (timeout): no text for 0.5 s after 0 text events" in one_line(done.stderr)


def test_a_missed_target_is_exit_one(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "version: 1\ntargets:\n  - {name: impossible, users: 1, metric: ttft_p50_ms, below: 0.001}\n"
    )
    with fake_engine(ttft_ms=5, itl_ms=1) as (url, _):
        done = loadtest(*quick(url, tmp_path, users="1", target=tmp_path / "t.yaml"))
    assert done.returncode == 1
    assert "impossible: ttft_p50_ms at 1 user < 0.001: measured" in done.stdout


def one_line(stderr: str) -> str:
    assert stderr.count("\n") == 1, stderr
    return stderr


def test_an_unreachable_server_is_exit_four(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = loadtest(*quick(url, tmp_path))
    assert done.returncode == 4
    assert "cannot be reached: Connection refused" in one_line(done.stderr)


UNFIT = [
    (json_answer("401 Unauthorized", b'{"error":{"message":"invalid key"}}'), 4, "--api-key-file"),
    (json_answer("503 Service Unavailable", b'{"error":{"message":"loading"}}'), 4, "HTTP 503: loading"),
    (json_answer("200 OK", b"<html>"), 4, "not an OpenAI model list"),
    (b"220 smtp ready\r\n", 4, "does not speak HTTP"),
    (json_answer("200 OK", MODELS.replace(b"tiny", b"other")), 2, "'tiny' is not served at"),
]


@pytest.fixture(scope="module")
def unfit(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """(exit code, stderr) of a run against each of UNFIT, all in one process."""
    out = tmp_path_factory.mktemp("unfit")
    with ExitStack() as servers:
        urls = [servers.enter_context(scripted(answer)) for answer, _, _ in UNFIT]
        ended = under_locust(run_all, [quick(url, out) for url in urls])
    return [(code, errors) for code, _, errors in ended]


@pytest.mark.parametrize(("number", "code", "expected"), [(at, *wanted) for at, (_, *wanted) in enumerate(UNFIT)])
def test_a_server_that_cannot_be_tested_is_one_line(
    unfit: list[tuple[int, str]], number: int, code: int, expected: str
) -> None:
    assert unfit[number][0] == code
    assert expected in one_line(unfit[number][1])


def test_an_unknown_model_is_answered_with_the_models_there_are(tmp_path: Path, engine: tuple[str, int]) -> None:
    done = loadtest(*quick(engine[0], tmp_path, model="llama"))
    assert done.returncode == 2
    assert f"'llama' is not served at {engine[0]}; it serves: tiny" in one_line(done.stderr)


WRONG: list[tuple[dict[str, object], str]] = [
    ({"users": "1,x"}, "'1,x' is not a list of whole numbers of at least 1, such as 1,5,10,50"),
    ({"users": "0"}, "'0' is not a list"),
    ({"requests_per_user": 0}, "'0' is not a whole number of at least 1"),
    ({"stall_timeout": "soon"}, "'soon' is not a number above 0"),
    ({"base_url": "localhost:8080"}, "--base-url: 'localhost:8080' is not an http:// or https:// address"),
    ({"api_key_file": "/nowhere/key"}, "--api-key-file /nowhere/key: cannot be read (no such file"),
    ({"meta": "/nowhere/meta"}, "--meta /nowhere/meta: cannot be read (no such file"),
    ({"target": "/nowhere/target"}, "--target /nowhere/target: cannot be read (no such file"),
    ({"out": "/dev/null/out"}, "--out /dev/null/out: Not a directory"),
    ({"surprise": 1}, "unrecognized arguments: --surprise"),
]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """(exit code, stderr) of a run for each of WRONG, all in one process."""
    out = tmp_path_factory.mktemp("wrong")
    ended = under_locust(run_all, [quick("http://127.0.0.1:9", out, **change) for change, _ in WRONG])
    return [(code, errors) for code, _, errors in ended]


@pytest.mark.parametrize(("number", "expected"), list(enumerate(expected for _, expected in WRONG)))
def test_a_wrong_argument_is_one_line_and_exit_two(refusals: list[tuple[int, str]], number: int, expected: str) -> None:
    code, errors = refusals[number]
    assert code == 2
    assert expected in one_line(errors)


def test_report_of_an_empty_folder_is_exit_two(tmp_path: Path) -> None:
    done = loadtest("report", tmp_path)
    assert done.returncode == 2 and "report.json: No such file" in one_line(done.stderr)
