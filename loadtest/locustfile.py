"""`locust -f loadtest/locustfile.py`: the web UI on the same users, climbing 1, 5, 10 and 50 (--steps), or as far
as the number of users that was asked for.

A step lasts --stage-seconds and its users ask without pause. Exact stages and percentiles: `python -m loadtest run`.
"""

import logging

from greenlet import GreenletExit  # type: ignore[import-untyped]
from locust import LoadTestShape, events

from loadtest.core.errors import LoadtestError
from loadtest.live import locust_web
from loadtest.live.locust_settings import add_arguments, calibrated, servers_and_requests, stage_shape
from loadtest.runner.users import SteadyUser

events.init_command_line_parser.add_listener(add_arguments)  # type: ignore[no-untyped-call]
locust_web.install(events)


class Chat(SteadyUser):
    def on_start(self) -> None:
        try:
            self.servers, requests = servers_and_requests(self.host, self.environment.parsed_options)
            self.requests = calibrated(self.servers[0], requests)
        except LoadtestError as problem:
            logging.error("%s", problem)
            raise GreenletExit from problem  # ends this user; Locust would print a traceback for StopUser here


class Climb(LoadTestShape):
    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        assert self.runner is not None and self.runner.environment.parsed_options is not None
        try:
            return stage_shape(self.runner.environment.parsed_options).at(self.get_run_time())  # type: ignore[no-untyped-call]
        except LoadtestError as problem:
            logging.error("%s", problem)
            return None
