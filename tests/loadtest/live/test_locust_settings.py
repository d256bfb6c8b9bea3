"""What the locustfile is told by environment and arguments. The module imports Locust, so each test is a process."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.paced import paced
from tests.loadtest.programs import under_locust
from tests.loadtest.scripted import json_answer, scripted

LATE = {"FULLBATCH_HOST": "http://late:1", "FULLBATCH_MODEL": "late", "FULLBATCH_KEY_FILE": "/late"}


def options_of(arguments: list[str]) -> Namespace:
    """Under Locust: its own options and ours, in the order in which Locust lets a locustfile add to them."""
    from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

    from loadtest.live.locust_settings import add_arguments

    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)  # type: ignore[no-untyped-call]
    add_arguments(parser)
    options: Namespace = parser.parse_args(arguments)
    return options


def parsed(cases: list[tuple[dict[str, str], list[str]]]) -> list[dict[str, Any]]:
    """Under Locust: what each environment and command line come to."""
    found = []
    for environment, arguments in cases:
        with patch.dict(os.environ, environment):
            options = vars(options_of(arguments))
        found.append({name: options[name] for name in DEFAULTS})
    return found


DEFAULTS = {
    "host": None,
    "model": "",
    "api_key_file": "",
    "max_tokens": 0,
    "prompt_tokens": 0,
    "stage_seconds": 30,
    "steps": "1,5,10,50",
    "workload": "seed",
}


def test_the_environment_gives_the_defaults_and_an_argument_wins() -> None:
    empty = dict.fromkeys(LATE, "")
    environment = {"FULLBATCH_HOST": "http://a:1", "FULLBATCH_MODEL": "m", "FULLBATCH_KEY_FILE": "/run/keys"}
    arguments = ["--host", "http://b:2", "--model", "n", "--api-key-file", "/other", "--max-tokens", "8"]
    arguments += ["--prompt-tokens", "9", "--stage-seconds", "2", "--workload", "chat"]
    cases = [({}, []), (empty, []), (environment, []), (environment, arguments)]
    unset, emptied, by_environment, by_argument = under_locust(parsed, cases)
    assert unset == emptied == DEFAULTS
    assert by_environment == DEFAULTS | {"host": "http://a:1", "model": "m", "api_key_file": "/run/keys"}
    assert by_argument == {
        "steps": "1,5,10,50",
        "host": "http://b:2",
        "model": "n",
        "api_key_file": "/other",
        "max_tokens": 8,
        "prompt_tokens": 9,
        "stage_seconds": 2,
        "workload": "chat",
    }


def asked(host: str | None, arguments: list[str], times: int = 1) -> list[dict[str, Any]]:
    """Under Locust: what so many users are told. The environment changes after it was read."""
    from loadtest.live.locust_settings import servers_and_requests
    from loadtest.workload.source import Place

    options = options_of(arguments)
    found = []
    with patch.dict(os.environ, LATE):
        for _ in range(times):
            servers, requests = servers_and_requests(host or options.host, options)
            head = servers[0].request("GET", "/").decode().split("\r\n")
            lengths, first = requests.source.lengths, requests.conversation(Place("1", 0)).turn(1)
            shape = [requests.model, lengths.output, lengths.prompt]
            found.append({"head": head, "shape": shape, "prompt": first.messages[0]["content"]})
    return found


def test_a_user_is_told_what_the_environment_said_when_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# first\nfb-one\nfb-two\n")
    environment = {
        "FULLBATCH_HOST": "http://gateway:8080/v1",
        "FULLBATCH_MODEL": "m",
        "FULLBATCH_KEY_FILE": f"{tmp_path}/keys",
    }
    first, second = under_locust(asked, None, ["--max-tokens", "8", "--prompt-tokens", "20"], 2, **environment)
    assert first["shape"] == ["m", 8, 20] and len(first["prompt"].split()) == 20
    assert "Host: gateway:8080" in first["head"] and "Authorization: Bearer fb-one" in first["head"]
    assert first["prompt"] != second["prompt"]


def test_another_host_than_the_one_of_the_start_gets_no_key(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("fb-one\n")
    words = ["--host", "http://Gateway:8080/v1", "--api-key-file", f"{tmp_path}/keys", "--model", "m"]
    [own] = under_locust(asked, "http://gateway:8080", words)
    assert "Authorization: Bearer fb-one" in own["head"]
    for host in ("http://evil.example", "http://gateway:8081", "https://gateway:8080", "http://gateway.evil:8080"):
        [other] = under_locust(asked_quietly, host, words)
        assert not [line for line in other["head"] if "Authorization" in line], host
    [unsaid] = under_locust(asked_quietly, "http://gateway:8080", words[2:])
    assert not [line for line in unsaid["head"] if "Authorization" in line], "started without a host, with a key"


def asked_quietly(host: str, arguments: list[str]) -> list[dict[str, Any]]:
    logging.disable()
    return asked(host, arguments)


def first_of_a_list() -> list[Any]:
    """Under Locust: two users' workloads from a server that is gone by the time the second asks."""
    models = b'{"object": "list", "data": [{"id": "first"}, {"id": "second"}]}'
    with scripted(json_answer("200 OK", models)) as url:
        before = asked(url, [])
    return [one["shape"] for one in before + asked(url, [])]


def test_without_a_model_the_first_that_the_server_lists_is_taken_and_kept() -> None:
    assert under_locust(first_of_a_list) == [["first", 64, 128]] * 2


def problems(cases: list[tuple[str | None, list[str]]]) -> list[tuple[str, int]]:
    """Under Locust: (text, exit code) of what each case is refused with."""
    from loadtest.core.errors import LoadtestError

    found = []
    for host, arguments in cases:
        try:
            asked(host, arguments)
        except LoadtestError as problem:
            found.append((str(problem), problem.exit_code))
    return found


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with scripted(json_answer("401 Unauthorized", b"{}")) as closed:
        found = under_locust(
            problems,
            [
                (None, []),
                ("gateway:8080", []),
                ("http://gateway/chat", []),
                (None, ["--host", "http://gateway", "--api-key-file", "/nowhere/keys"]),
                (None, ["--host", "http://gateway", "--api-key-file", f"{tmp_path}/empty"]),
                ("http://127.0.0.1:9", []),
                (closed, []),
            ],
        )
    assert found == [
        ["no host; give --host or FULLBATCH_HOST, such as http://127.0.0.1:8080", 2],
        ["host: 'gateway:8080' is not an http:// or https:// address; write one such as http://127.0.0.1:8080", 2],
        ["host: 'http://gateway/chat' has a path; give only the address, such as http://127.0.0.1:8080", 2],
        ["--api-key-file /nowhere/keys: cannot be read (no such file or directory)", 2],
        [f"--api-key-file {tmp_path}/empty: no key in it; write one key on each line", 2],
        ["http://127.0.0.1:9: cannot be reached: Connection refused", 4],
        [f"{closed}: the key was refused (HTTP 401); give a valid one with --api-key-file", 4],
    ]


def calibrated_twice() -> list[Any]:
    """Under Locust: tokens per word of two users' prompts, and how often the server was asked; then of a server that is
    gone."""
    logging.disable()
    from loadtest.client.connection import server_at
    from loadtest.live.locust_settings import calibrated
    from loadtest.workload.requests import ChatRequests
    from loadtest.workload.synthetic import plain
    from loadtest.workload.texts import RunTexts

    asked: list[dict[str, Any]] = []

    def requests(nonce: str) -> ChatRequests:
        return ChatRequests("tiny", plain(77, 4), RunTexts(nonce))

    def words_and_nonce(made: ChatRequests) -> tuple[int, str]:
        return made.source.describe()["prompt_words"]["plain"], made.run.nonce

    def script(body: dict[str, Any]) -> list[tuple[float, bytes]]:
        words = len(body["messages"][0]["content"].split())
        return [(0.0, event("a", "length") + usage(3 * words + 5, 1) + DONE)]

    with paced(script, asked) as url:
        both = [calibrated(server_at(url, None), requests(nonce)) for nonce in ("one", "two")]
    gone = calibrated(server_at("http://127.0.0.1:9", None), requests("three"))
    return [[words_and_nonce(made) for made in both], len(asked), words_and_nonce(gone)]


def test_prompts_are_calibrated_once_a_process_and_a_dead_server_is_left_to_the_users() -> None:
    assert under_locust(calibrated_twice) == [[[24, "one"], [24, "two"]], 2, [77, "three"]]
