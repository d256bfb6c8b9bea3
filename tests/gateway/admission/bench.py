"""Admission with engines that only count, and requests that begin and end when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.admission.controller import Admission
from gateway.admission.slots import Slot
from gateway.config.settings import AdmissionSettings, EngineSettings, Polling
from gateway.core.call import Call, Principal, Usage
from gateway.core.errors import GatewayError, NoEngineUp
from gateway.core.priority import PRIORITIES
from gateway.core.record import RequestRecord
from gateway.engines.replica import Replica
from gateway.http.client import Pool

STRUCTURED = 77  # a prompt's tokens, by which a call that is refused is known
NUMBERS: dict[str, Any] = {
    "max_num_seqs": 4,
    "max_num_batched_tokens": 2048,
    "max_model_len": 4096,
    "kv_cache_tokens": 65536,
}


class Bench:
    """An admission over one engine with some places; ``now`` is its clock."""

    def __init__(self, slots: int, max_in_flight: int = 1000, **settings: Any) -> None:
        engine = EngineSettings(
            name="e", url="http://127.0.0.1:1", models=("m",), **(NUMBERS | {"max_num_seqs": slots})
        )
        self.address = Replica(
            engine, "127.0.0.1", Pool("127.0.0.1", 1, asyncio.get_running_loop()), Polling(), lambda: None
        )
        self.up = True
        self.stalled = False
        self.refused: GatewayError | None = None
        self.now = 100.0
        self.admission = Admission(AdmissionSettings(**settings), self, max_in_flight, lambda: self.now)

    def limit(self, model: str) -> int:  # noqa: ARG002
        return self.address.limit if self.up else 0

    def reserve(self, model: str) -> int:  # noqa: ARG002
        return self.address.reserve if self.up else 0

    def has_room(self, model: str, whole: bool) -> bool:  # noqa: ARG002
        return self.up and self.address.has_room(0, 0, whole)

    def choose(self, call: Call, whole: bool = True) -> Replica | None:
        fits = self.up and self.address.has_room(call.prompt_tokens, call.expected_output, whole)
        return self.address if fits else None

    def refusal(self, call: Call) -> GatewayError | None:
        return self.refused if call.prompt_tokens == STRUCTURED else None

    def away(self, model: str) -> bool:  # noqa: ARG002
        return False

    def spill(self, call: Call, key: str, waited: float) -> Replica | None:  # noqa: ARG002
        return None

    def waited_for(self, model: str) -> bool:  # noqa: ARG002
        return self.stalled

    def none_up(self, model: str) -> NoEngineUp:  # noqa: ARG002
        return NoEngineUp("down", retry_after=2)

    def ask(
        self, key: str, level: str = "normal", weight: float = 1.0, prompt: int = 100, output: int = 100
    ) -> asyncio.Task[Slot]:
        call = Call("m", True, b"/", b"", prompt_tokens=prompt, output_tokens=output, level=PRIORITIES[level])
        call.expected_output = output
        record = RequestRecord("id", self.now)
        record.principal, record.call = Principal(key, weight=weight), call
        return asyncio.ensure_future(self._enter(record))

    async def _enter(self, record: RequestRecord) -> Slot:
        return self.admission.enter(record) or await self.admission.wait(record)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.admission.check(self.now)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def give_back(slot: Slot, prompt: int | None = None, output: int = 0) -> None:
    """With so many tokens of prompt and answer used; without any, no engine had it."""
    slot.record.usage = None if prompt is None else Usage(prompt, output)
    slot.release()


async def refusal(task: Awaitable[Slot]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await task
    return caught.value
