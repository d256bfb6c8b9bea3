"""`locust -f loadtest/locustfile.py`: the web UI on the same users, climbing 1, 5, 10 and 50 (--steps).

A step lasts --stage-seconds and its users ask without pause. Exact stages and percentiles: `python -m loadtest run`.
"""

import logging

from greenlet import GreenletExit  # type: ignore[import-untyped]
from locust import LoadTestShape, events

from loadtest import web
from loadtest.errors import LoadtestError
from loadtest.settings import add_arguments, servers_and_prompts, steps
from loadtest.users import SteadyUser

events.init_command_line_parser.add_listener(add_arguments)  # type: ignore[no-untyped-call]
web.install(events)


class Chat(SteadyUser):
    def on_start(self) -> None:
        try:
            self.servers, self.prompts = servers_and_prompts(self.host, self.environment.parsed_options)
        except LoadtestError as problem:
            logging.error("%s", problem)
            raise GreenletExit from problem  # ends this user; Locust would print a traceback for StopUser here


class Ladder(LoadTestShape):
    def tick(self) -> tuple[int, float] | None:
        assert self.runner is not None and self.runner.environment.parsed_options is not None
        options = self.runner.environment.parsed_options
        try:
            users = steps(options.steps)
        except LoadtestError as problem:
            logging.error("%s", problem)
            return None
        step = int(self.get_run_time() // max(1, options.stage_seconds))  # type: ignore[no-untyped-call]
        return (users[step], 50) if step < len(users) else None
