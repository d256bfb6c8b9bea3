"""Records and events for tests of pure parts."""

from __future__ import annotations

import json
from typing import Any

from loadtest.analysis.selfcheck_result import ClockComparison, LagQuantiles, SelfCheck
from loadtest.client.record import Record, RequestOutcome
from loadtest.client.sse import StreamedAnswer, TokenUsage
from loadtest.runner.stage import Stage, StageWork
from loadtest.workload.arrivals import StagePlan
from loadtest.workload.requests import ChatRequests
from loadtest.workload.schema import RequestKind
from loadtest.workload.synthetic import Synthetic
from loadtest.workload.texts import RunTexts

MS = 1_000_000


def event(content: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """One chunk as vLLM writes it."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **more}
    return b"data: " + json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def usage(prompt: int, output: int) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n"


def asked(prompt_tokens: int = 16, output_tokens: int = 8, nonce: str = "test", **more: Any) -> ChatRequests:
    """Requests made up for the model `tiny`; `more` are other lengths of their kind."""
    kind = RequestKind(name="plain", prompt_tokens=prompt_tokens, output_tokens=output_tokens, **more)
    return ChatRequests("tiny", Synthetic("plain", "of one kind", (kind,)), RunTexts(nonce))


def closed(number: int, users: int, requests_per_user: int, warmup: int = 0) -> Stage:
    """A stage of a closed loop."""
    plan = StagePlan(number, number, 1, "server", "closed", users=users, requests_per_user=requests_per_user)
    return Stage(plan, StageWork(str(number), warmup, planned=users * requests_per_user))


DONE = b"data: [DONE]\n\n"


def good(
    send_ms: float, first_ms: float, gaps_ms: list[tuple[float, int]], user: int = 0, tokens: int | None = None
) -> Record:
    """A good answer: first text at `first_ms`, then reads after each gap with so many text events."""
    answer = StreamedAnswer(first=int(first_ms * MS), last=int(first_ms * MS), first_events=1, events=1, reads=1)
    for gap, events in gaps_ms:
        answer.gaps.append((int(gap * MS), events))
        answer.last = (answer.last or 0) + int(gap * MS)
        answer.events += events
        answer.reads += 1
    answer.usage = TokenUsage(10, answer.events if tokens is None else tokens, None)
    answer.finish, answer.done = "length", True
    send = int(send_ms * MS)
    return Record(1, user, 0, send, send, send, answer.last or 0, 200, RequestOutcome.OK, "", answer)


def failed(send_ms: float, end_ms: float, outcome: RequestOutcome = RequestOutcome.CUT) -> Record:
    send = int(send_ms * MS)
    return Record(1, 0, 0, plan=send, send=send, end=int(end_ms * MS), status=200, outcome=outcome)


def self_check(users: int = 50, tokens_per_s: float = 50.0, problems: tuple[str, ...] = ()) -> SelfCheck:
    """What a self check found: one number, 1 ms off."""
    row = ClockComparison(
        metric="ttft_ms", statistic="p50", reported_ms=101, true_ms=100, error_ms=1, allowed_ms=2, ok=not problems
    )  # fmt: skip
    lag = LagQuantiles(p50=0.5, p95=1.0, p99=None)
    return SelfCheck(
        at="2026-11-23T00:00:00+00:00", users=users, tokens_per_s=tokens_per_s, requests=9, ok=not problems,
        problems=problems, rows=(row,), token_lag_ms=lag, send_lag_ms=lag, loop_lag_p99_ms=0.5, cpu_share=0.1,
    )  # fmt: skip
