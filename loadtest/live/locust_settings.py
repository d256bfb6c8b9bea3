"""Options of the locustfile.

FULLBATCH_HOST, FULLBATCH_MODEL, FULLBATCH_KEY_FILE and FULLBATCH_WEB_HOSTS are the defaults of Locust's own --host and
of --model, --api-key-file and --web-host-allowed, so an argument, or a field of the web UI, wins over them.
"""

from __future__ import annotations

import logging
import secrets
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from locust.argument_parser import LocustArgumentParser

from loadtest.client.connection import Server, server_at
from loadtest.client.preflight import calibrate, served_models
from loadtest.core.errors import LoadtestError, UsageProblem
from loadtest.live.host_check import told
from loadtest.live.stage_shape import SPAWN_RATE, StageShape, step_users
from loadtest.runner import defaults
from loadtest.runner.config import read_keys
from loadtest.workload.registry import make_source, source_options
from loadtest.workload.requests import ChatRequests
from loadtest.workload.schema import names, read_workload
from loadtest.workload.source import RequestSource
from loadtest.workload.texts import RunTexts

# What a form may say: Locust's own fields, and those of our options that it shows.
FORM_FIELDS = frozenset(
    "user_count spawn_rate host run_time user_classes shape_class profile "
    "model workload max_tokens prompt_tokens steps stage_seconds".split()
)
_ONCE = Lock()


def add_arguments(parser: LocustArgumentParser) -> None:
    """For `events.init_command_line_parser`. Arguments of a group would not be in the form of the web UI."""
    environment = defaults.environment()
    parser.set_defaults(host=environment.get("FULLBATCH_HOST") or None, spawn_rate=SPAWN_RATE)
    model, key = environment.get("FULLBATCH_MODEL", ""), environment.get("FULLBATCH_KEY_FILE", "")
    parser.add_argument("--model", default=model, help="Model name; empty: the first that the server lists")
    # Not in the form: who may write there would have any file of this machine read and sent to any host.
    parser.add_argument(
        "--api-key-file", default=key, include_in_web_ui=False, help="File with one key per line; the first is used"
    )
    parser.add_argument(
        "--web-host-allowed",
        type=_hosts,
        default=environment.get("FULLBATCH_WEB_HOSTS", ""),
        include_in_web_ui=False,
        help="Hosts besides loopback by which browsers may ask for this page, separated by commas; a port is optional",
    )
    parser.add_argument(
        "--workload", default="seed", choices=names(), help="Workload: a file of loadtest/workload/shipped/"
    )
    parser.add_argument(
        "--max-tokens", type=int, default=0, help="Length of every answer in tokens; 0: from the workload"
    )
    parser.add_argument(
        "--prompt-tokens", "--prompt-words", type=int, default=0,
        help="Approximate length of every prompt in tokens; 0: from the workload",
    )  # fmt: skip
    for option in source_options():  # not in the form either: such a file of this machine would be sent to any host
        parser.add_argument(
            option.flag, type=option.read, metavar=option.metavar, help=option.help, include_in_web_ui=False
        )
    parser.add_argument(
        "--steps", default="1,5,10,50", help="Number of users at each step, up to the number of users above"
    )
    parser.add_argument("--stage-seconds", type=int, default=30, help="Length of each step in seconds")


def _hosts(text: str) -> str:
    try:
        told(text)
    except UsageProblem as problem:
        raise ArgumentTypeError(str(problem)) from problem
    return text


def stage_shape(options: Namespace) -> StageShape:
    """The steps of users. UsageProblem when the steps are none."""
    most = getattr(options, "peak_users", None)
    rate = options.spawn_rate or SPAWN_RATE
    return StageShape(step_users(options.steps, most), max(1, options.stage_seconds), rate, options.run_time or None)


def servers_and_requests(host: str | None, options: Namespace) -> tuple[tuple[Server, ...], ChatRequests]:
    """Whom (once for each key) and what users ask. UsageProblem or ServerProblem, in one line, when that cannot be."""
    if not host:
        raise UsageProblem("no host; give --host or FULLBATCH_HOST, such as http://127.0.0.1:8080")
    source = _source(_chosen(options))
    keys = _keys(host, options)
    if source.keys > len(keys):
        raise UsageProblem(f"the workload '{source.name}' needs {source.keys} keys, and --api-key-file has {len(keys)}")
    servers = tuple(_server(host, key) for key in keys)
    model = options.model or _first_model(servers[0], host)
    return servers, ChatRequests(model, source, RunTexts(secrets.token_hex(8)))


def _keys(host: str, options: Namespace) -> tuple[str | None, ...]:
    """The key file is of the host that Locust was started with: who may open its page may name another host there, and
    must not get a key by that."""
    if not options.api_key_file:
        return (None,)
    own = getattr(options, "key_host", options.host)
    if own and _server(own, None) == _server(host, None):
        return read_keys(Path(options.api_key_file))
    _warn_once(host)
    return (None,)


@lru_cache
def _warn_once(host: str) -> None:
    logging.warning("%s gets no key: --api-key-file is for the host that Locust was started with (--host)", host)


def _server(host: str, key: str | None) -> Server:
    try:
        return server_at(host, key)
    except ValueError as error:
        raise UsageProblem(f"host: {error}") from error


def _chosen(options: Namespace) -> tuple[tuple[str, Any], ...]:
    """What a source is made from, fit to be compared."""
    known = ("workload", "max_tokens", "prompt_tokens", *(option.name for option in source_options()))
    return tuple((name, getattr(options, name, None)) for name in known)


@lru_cache(maxsize=4)
def _source(chosen: tuple[tuple[str, Any], ...]) -> RequestSource:
    """Made once a process: fifty users who begin together would otherwise read a data set fifty times."""
    options = Namespace(**dict(chosen))
    return make_source(read_workload(options.workload), options)


def calibrated(server: Server, requests: ChatRequests) -> ChatRequests:
    """With this server's tokens per word: a few requests, once a process, that Locust does not count."""
    with _ONCE:  # users who begin together wait for the first one's answers
        return replace(_calibrated(server, replace(requests, run=RunTexts(""))), run=requests.run)


@lru_cache
def _calibrated(server: Server, requests: ChatRequests) -> ChatRequests:
    """As they are, where the server cannot answer now: the users' own requests will show why."""
    try:
        found = calibrate(server, replace(requests, run=RunTexts(secrets.token_hex(8))), tell=logging.info)
    except LoadtestError as problem:
        logging.warning("prompt length not calibrated, a word counts as a token: %s", problem)
        return requests
    logging.info("%s", found.line)
    return replace(found.requests, run=requests.run)


@lru_cache
def _first_model(server: Server, host: str) -> str:
    """Asked once a process: fifty users who begin together would otherwise ask fifty times."""
    return next(iter(served_models(server, host)), "")
