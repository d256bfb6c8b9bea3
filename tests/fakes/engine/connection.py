"""HTTP in front of the batch: one asyncio.Protocol for each connection, parsed by httptools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import httptools
import orjson

from tests.fakes.engine import calls, other_shapes, shapes
from tests.fakes.engine.batch import Job
from tests.fakes.engine.knobs import Knobs
from tests.fakes.engine.writers import Stream, Whole, chunk

if TYPE_CHECKING:
    from tests.fakes.engine.server import Engine

JSON = b"application/json"
ANSWERS: dict[str, Callable[[shapes.Ask, str, str], shapes.Shape]] = {
    "/v1/chat/completions": shapes.Answer,
    "/v1/completions": shapes.Answer,
    "/v1/messages": other_shapes.Message,
    "/v1/responses": other_shapes.Response,
}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    500: b"Error",
    503: b"Service Unavailable",
}

# The first is vLLM's own while it drains, seen with 0.32.0: its tokeniser's threads have ended.
_REFUSALS = {
    "draining": "cannot schedule new futures after shutdown",
    "defect": "Internal server error",
    "poison": "Internal server error",
}


class Connection(asyncio.Protocol):
    """One client connection; one request at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._path = self._target = self._secret = ""
        self._body = b""
        self._request_id = b""
        self._job: Job | None = None
        self._writes: list[int] = []
        self._received = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._engine.connections.add(self)
        self._engine.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._engine.connections.discard(self)
        if self._job is not None:
            self._engine.batch.cancel(self._job)
            self._job = None

    def data_received(self, data: bytes) -> None:
        self._received = time.perf_counter_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._answer(400, shapes.error(400, "BadRequestError", "Invalid HTTP request received."))
            self._transport.close()

    def pause_writing(self) -> None:
        if self._job is not None:
            self._engine.batch.hold(self._job)

    def resume_writing(self) -> None:
        if self._job is not None:
            self._engine.batch.release(self._job)

    def close_if_idle(self) -> None:
        if self._job is None:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._body = b""
        self._request_id = b""

    def on_url(self, url: bytes) -> None:
        self._target = url.decode("latin-1")
        self._path = self._target.partition("?")[0]
        self._secret = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-request-id":
            self._request_id = value
        elif name.lower() == b"x-fullbatch-secret":
            self._secret = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._path.startswith("/fake/"):
            self._engine.paths[f"{self._parser.get_method().decode()} {self._path}"] += 1
        fault = self._engine.knobs.fault
        if fault == "garbage" and not self._path.startswith("/fake/"):
            self._transport.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            self._transport.close()
            return
        method = self._parser.get_method()
        asked = f"{method.decode()} {self._target}"
        if (slept := self._engine.sleeper.answer(self._engine, asked, self._secret)) is not None:
            self._answer(slept[0], orjson.dumps(slept[1]))
        elif method == b"GET":
            self._get()
        elif self._path == "/fake/knobs":
            self._turn_knobs()
        else:
            self._post()

    def _get(self) -> None:
        engine, batch = self._engine, self._engine.batch
        if engine.knobs.fault == "deaf" and not self._path.startswith("/fake/"):
            return
        if self._path == "/health":
            self._answer(503 if engine.knobs.fault == "unhealthy" else 200, b"", b"text/plain")
        elif self._path == "/v1/models":
            self._answer(200, shapes.models(engine.knobs.model, engine.knobs.max_model_len))
        elif self._path == "/metrics":
            self._answer(200, engine.report(), b"text/plain; version=0.0.4; charset=utf-8")
        elif self._path == "/fake/seen":
            self._answer(200, orjson.dumps({"paths": engine.paths, "bodies": list(engine.bodies)}))
        elif self._path == "/fake/state":
            state = {"running": len(batch.running), "waiting": len(batch.waiting), "aborted": engine.meters.aborted}
            state |= {"submitted": batch.submitted, "longest_queue": batch.longest_queue}
            state |= {"asleep": engine.sleeper.asleep, "disturbed": engine.sleeper.disturbed}
            self._answer(
                200, orjson.dumps(state | {"connections": len(engine.connections), "accepted": engine.accepted})
            )
        elif self._path == "/fake/truth":
            self._answer(200, orjson.dumps(engine.truth))
        else:
            self._answer(404, orjson.dumps({"detail": "Not Found"}))

    def _turn_knobs(self) -> None:
        try:
            values = orjson.loads(self._body)
            Knobs().change({name: value for name, value in values.items() if name != "for_s"})
        except (orjson.JSONDecodeError, AttributeError, ValueError) as error:
            self._answer(400, shapes.error(400, "BadRequestError", str(error)))
            return
        self._answer(200, b"{}")
        task = asyncio.get_running_loop().create_task(self._engine.change(values))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post(self) -> None:
        knobs = self._engine.knobs
        self._engine.bodies.append((self._path, self._body.decode(errors="replace")))
        try:
            body = orjson.loads(self._body)
            if not isinstance(body, dict):
                raise ValueError("Input should be a valid dictionary")
            if body.get("model") not in knobs.model.split(","):
                message = f"The model `{body.get('model')}` does not exist."
                self._answer(404, shapes.error(404, "NotFoundError", message, "model"))
            elif self._path == "/v1/embeddings":
                inputs = body.get("input", [])
                self._answer(200, shapes.embedding(knobs.model, inputs if isinstance(inputs, list) else [inputs]))
            elif self._path in ANSWERS:
                ask = shapes.read_ask(body, self._path, knobs.tokens)
                self._generate(calls.answered(ask, body, knobs))
            elif (answer := self._small_answer(body)) is not None:
                self._answer(200, answer)
            else:
                self._answer(404, orjson.dumps({"detail": "Not Found"}))
        except (orjson.JSONDecodeError, ValueError, TypeError, AttributeError, KeyError) as error:
            # vLLM's schemas refuse every wrong type; so does this.
            self._answer(400, shapes.error(400, "BadRequestError", str(error)))

    def _small_answer(self, body: dict[str, Any]) -> bytes | None:
        """What takes no step of the model; None where this kind of model has no such path."""
        tokens = shapes.count_tokens(str(body.get("prompt", body.get("messages", ""))))
        if self._path == "/tokenize":
            answer = {"count": tokens, "max_model_len": self._engine.knobs.max_model_len, "tokens": [1] * tokens}
            return orjson.dumps(answer | {"token_strs": None})
        if self._path == "/detokenize":
            return orjson.dumps({"prompt": "x" * len(body["tokens"])})
        if self._path == "/v1/messages/count_tokens":
            return orjson.dumps({"input_tokens": tokens, "context_management": {"original_input_tokens": tokens}})
        if self._path == "/v1/score":
            return shapes.score(self._engine.knobs.model, [str(text) for text in body.get("text_2", [])])
        return None

    def _generate(self, ask: shapes.Ask) -> None:
        knobs = self._engine.knobs
        if self._engine.sleeper.asleep:
            self._engine.sleeper.disturbed += 1
            return
        if knobs.fault in _REFUSALS and (knobs.fault != "poison" or b"poison" in self._body):
            self._answer(500, shapes.error(500, "InternalServerError", _REFUSALS[knobs.fault]))
            return
        if ask.max_new > knobs.max_model_len:
            raise ValueError(f"max_tokens={ask.max_new} cannot be greater than max_model_len={knobs.max_model_len}.")
        if ask.prompt_tokens >= knobs.max_model_len:
            raise ValueError(
                f"This model's maximum context length is {knobs.max_model_len} tokens. However, your prompt "
                f"contains {ask.prompt_tokens} input tokens. Please reduce the length of the input prompt."
            )
        ask = replace(ask, max_new=min(ask.max_new, knobs.max_model_len - ask.prompt_tokens))
        if knobs.fault == "before-headers":
            self._transport.close()
            return
        if knobs.fault == "grammar" and b'"response_format"' in self._body:
            return  # it waits for the compiler
        answer = ANSWERS[self._path](ask, knobs.model, "x" * (knobs.token_chars - 1) + " ")
        writer = Stream(self, answer, ask) if ask.stream else Whole(self, answer, ask)
        if ask.stream:
            self._transport.write(_STREAM_HEAD)
            if knobs.sse_keep_alive_s:
                asyncio.get_running_loop().call_later(knobs.sse_keep_alive_s, self._comment)
        self._writes = self._engine.keep_truth(self._request_id, self._received)
        self._job = writer.job = Job(ask.prompt_tokens, ask.max_new, writer.on_token)
        self._engine.batch.submit(self._job)

    def _answer(self, status: int, body: bytes, content_type: bytes = JSON) -> None:
        head = b"HTTP/1.1 %d %s\r\nserver: uvicorn\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, _REASONS[status], content_type, len(body)) + body)

    def _comment(self) -> None:
        """As vLLM's front end with --sse-keep-alive-interval, which knows nothing of the core."""
        if self._job is not None:
            self._transport.write(chunk(b": keep-alive\n\n"))
            asyncio.get_running_loop().call_later(self._engine.knobs.sse_keep_alive_s, self._comment)

    def send(self, data: bytes) -> None:
        self._writes.append(time.perf_counter_ns())
        self._transport.write(data)

    def send_whole(self, body: bytes) -> None:
        self._job = None
        self._answer(200, body)

    def finished(self) -> None:
        self._job = None

    def finish_early(self, job: Job) -> None:
        self._engine.batch.cancel(job)
        self._job = None

    def die(self, job: Job) -> None:
        """Break off in the middle of the framing, as a killed process does."""
        self.finish_early(job)
        self._transport.close()

    @property
    def fault(self) -> str:
        return self._engine.knobs.fault
