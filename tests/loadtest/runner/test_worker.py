"""What a worker tells and obeys, without processes; tests/loadtest/runner/test_process_pool.py starts real ones."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from threading import Thread
from time import perf_counter_ns
from typing import Any

import pytest

from loadtest.client.record import Record
from loadtest.core.errors import UsageProblem
from loadtest.runner.worker_protocol import Connect, Phase, Release, Stop, packed, receive
from tests.loadtest.answers import closed, good
from tests.loadtest.programs import under_locust


def heard(*messages: object) -> Any:
    """Orders that have listened to these."""
    from loadtest.runner.worker import Inbox

    orders = Inbox()
    orders.listen(io.BytesIO(b"".join(packed(message) for message in messages)))
    return orders


def told(stage_records: list[Record], pauses: list[float | None]) -> list[list[Any]]:
    """What each call of `tell` wrote."""
    from loadtest.runner.worker import Outbox

    written: list[bytes] = []
    telling, stage = Outbox(written.append), closed(1, 1, 1)
    stage.records += stage_records
    found = []
    for pause in pauses:
        written.clear()
        telling.tell(stage, pause)
        found.append(all_of(io.BytesIO(b"".join(written))))
    return found


def all_of(stream: io.BytesIO) -> list[Any]:
    return list(iter(lambda: receive(stream), None))


# Locust patches the process that imports it; what is told is compared there.
def telling_in_parts() -> list[int]:
    records = [good(0, 10, [(5, 1)] * 50, user) for user in range(300)]
    parts = told(records, [0.0005, None, None])
    assert [record.user for part in parts for record in part] == list(range(300))
    return [len(part) for part in parts]


def test_requests_are_told_once_and_for_a_short_while_only() -> None:
    first, rest, nothing = under_locust(telling_in_parts)
    assert 0 < first < 300 and first + rest == 300 and nothing == 0


def gate_of(*messages: object) -> tuple[Any, list[object]]:
    from loadtest.runner.worker import Outbox, SharedStageGate

    said: list[object] = []
    return SharedStageGate(heard(*messages), Outbox(lambda message: said.append(receive(io.BytesIO(message))))), said


def going_together(lead_ms: int) -> dict[str, Any]:
    at = perf_counter_ns() + lead_ms * 1_000_000
    from gevent.fileobject import FileObject  # type: ignore[import-untyped]

    from loadtest.runner.worker import Inbox, Outbox, SharedStageGate

    orders, said = Inbox(), []
    gate = SharedStageGate(orders, Outbox(lambda message: said.append(receive(io.BytesIO(message)).name)))
    ours, theirs = os.pipe()  # stays open: its end would be a stop
    Thread(target=orders.listen, args=(FileObject(ours, "rb"),), daemon=True).start()
    os.write(theirs, packed(Connect()) + packed(Release(at)))
    gate.warmed()
    released = gate.ready()
    return {"said": said, "on_time": released == at, "late_ms": (perf_counter_ns() - at) / 1e6}


def test_the_gate_tells_how_far_it_is_and_goes_at_the_moment_all_were_told() -> None:
    found = under_locust(going_together, 300)
    assert found["said"] == [Phase.WARM.name, Phase.READY.name] and found["on_time"]
    assert 0 <= found["late_ms"] < 50


def stopped_gate() -> list[Any]:
    gate, _ = gate_of(Stop())
    gate.warmed()
    return [gate.ready()]


def test_a_stop_opens_every_gate_and_lets_nobody_go() -> None:
    assert under_locust(stopped_gate) == [None]


def ended_before_it_began() -> list[bool]:
    from loadtest.runner.worker import Outbox, work

    orders = heard()
    work(orders, Outbox(lambda _: pytest.fail("nothing is to be told")))
    return [orders.stop.is_set()]


def test_a_worker_whose_run_has_ended_ends() -> None:
    assert under_locust(ended_before_it_began) == [True]


def changed_data_set(path: str) -> list[Any]:
    """Under Locust: the file of a data set was written again between the run's reading and the worker's."""
    from loadtest.runner.worker import Outbox, work
    from loadtest.workload.dataset import DatasetChoice, read_dataset

    line = json.dumps({"messages": [{"role": "user", "content": "one"}]})
    Path(path).write_text(line)
    message = packed({"side": read_dataset(DatasetChoice(Path(path)))})
    Path(path).write_text(line.replace("one", "two"))
    from loadtest.runner.worker import Inbox

    orders = Inbox()
    orders.listen(io.BytesIO(message))
    try:
        work(orders, Outbox(lambda _: None))
    except UsageProblem as problem:
        return [str(problem)]
    return []


def test_a_worker_that_cannot_take_its_orders_in_says_why(tmp_path: Path) -> None:
    [why] = under_locust(changed_data_set, str(tmp_path / "data.jsonl"))
    assert "data.jsonl: the file has changed since the run began; run again" in why
