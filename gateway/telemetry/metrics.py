"""Counters and histograms as plain numbers; `exposition` turns them into Prometheus text.

Label values come from the configuration, the key store or the sets below, never from what a client sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import product

from gateway.core.record import RequestRecord

OTHER = "other"
# At 0 from the start, for each model and outcome; the other endpoints appear when they are used.
COMMON_ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
ENDPOINTS = COMMON_ENDPOINTS | {
    "/v1/responses",
    "/v1/score",
    "/score",
    "/v1/rerank",
    "/rerank",
    "/v2/rerank",
    "/classify",
    "/pooling",
    "/tokenize",
    "/detokenize",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
}
OUTCOMES = frozenset(
    {
        "ok",  # a whole answer
        "refused",  # the gateway's own 4xx: bad request, no key, unknown model, too large, too slow
        "overloaded",  # 429
        "engine_rejected",  # the engine's own 4xx, passed through
        "no_engine",  # 503
        "engine_error",  # the engine broke or answered 5xx; also an error or an abort inside a stream
        "engine_timeout",  # the engine was silent for too long
        "stopping",  # the gateway was on its way out, or batch work had to make room for another model
        "cut",  # the stream ended without [DONE]
        "client_gone",  # the client left before the end
        "internal",  # a defect of the gateway
    }
)
_CODES = {
    code: str(code) for code in (200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 502, 503, 504)
}
_TTFT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_DURATION_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0)
# Why a request was refused with 429.
LIMITS = frozenset(
    {
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent",
        "queue_full",
        "queue_timeout",
        "engine_queue",
        "model_switches",
    }  # fmt: skip
)
STAGES = frozenset({"queued", "waiting", "streaming"})
TOKEN_KINDS = ("prompt", "completion", "cached_prompt")
MAX_KEYS = 100
_WAIT_S = (0.0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


class Histogram:
    """Counts by bucket, and a sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Metrics:
    """Counters and histograms."""

    def __init__(self, models: Iterable[str]) -> None:
        self.models: frozenset[str] = frozenset()
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.responses: Counter[str] = Counter()
        self.disconnects = 0
        self.limited: Counter[str] = Counter(dict.fromkeys(sorted(LIMITS), 0))
        self.cancellations: Counter[str] = Counter(dict.fromkeys(sorted(STAGES), 0))
        self.retries: Counter[str] = Counter()
        self._tokens: dict[str, list[int]] = {}  # by model, in the order of TOKEN_KINDS; so by label of a key:
        self._key_tokens: dict[str, list[int]] = {}
        self.key_requests: Counter[tuple[str, str]] = Counter()
        self.ttft: dict[tuple[str, str], Histogram] = {}
        # By series and bucket, the last traced one that fell into it: its trace, seconds, Unix time of its end.
        self.exemplars: dict[tuple[str, str], dict[int, tuple[str, float, float]]] = {}
        self.duration: dict[tuple[str, str], Histogram] = {}
        self.wait: dict[str, Histogram] = {}
        self.per_token: dict[str, Histogram] = {}
        self.reloads: Counter[str] = Counter(dict.fromkeys(("applied", "rejected"), 0))
        self._keys: set[str] = set()
        self.know(models)

    def know(self, models: Iterable[str]) -> None:
        """These models are served from now on; what was counted for others stays."""
        # All at 0 from the start: a counter that appears with its first failure hides it from increase().
        for model in sorted(set(models) - self.models):
            series = product([model], sorted(COMMON_ENDPOINTS), sorted(OUTCOMES))
            self.requests.update(dict.fromkeys(series, 0))
            self._tokens.setdefault(model, [0] * len(TOKEN_KINDS))
            self.wait[model], self.per_token[model] = Histogram(_WAIT_S), Histogram(_PER_TOKEN_S)
            self.models |= {model}

    def finished(self, record: RequestRecord, seconds: float) -> None:
        """A request for tokens or embeddings has come to its end, whatever end, after so many seconds."""
        where = self._where(record.endpoint, record.model)
        outcome = record.outcome if record.outcome in OUTCOMES else OTHER
        self.requests[where[0], where[1], outcome] += 1
        name = self.key(record.principal.name)
        self.key_requests[name, outcome] += 1
        histogram = self.duration.get(where)
        if histogram is None:
            histogram = self.duration[where] = Histogram(_DURATION_S)
        histogram.observe(seconds)
        if outcome == "client_gone":
            self.disconnects += 1
        if record.limit:
            self.limited[record.limit if record.limit in LIMITS else OTHER] += 1
        if (usage := record.usage) is not None:
            prompt, completion, cached = usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
            for counts in (self._tokens[record.model], self._key_tokens.get(name) or self._sums(name)):
                counts[0] += prompt
                counts[1] += completion
                if cached:
                    counts[2] += cached
            if record.pace is not None:
                self.per_token[record.model].observe(record.pace)

    def first_byte(self, record: RequestRecord, seconds: float) -> None:
        """The first body byte of a stream came so long after the request."""
        where = self._where(record.endpoint, record.model)
        histogram = self.ttft.get(where)
        if histogram is None:
            histogram = self.ttft[where] = Histogram(_TTFT_S)
        histogram.observe(seconds)

    def traced(self, record: RequestRecord, ended_unix: float) -> None:
        """A request with a trace that is kept has ended: an exemplar of its time to the first token, if it had one."""
        trace, seconds = record.trace, record.ttft
        if trace is None or not trace.sampled or seconds is None:
            return
        of_series = self.exemplars.setdefault(self._where(record.endpoint, record.model), {})
        of_series[bisect_left(_TTFT_S, seconds)] = (trace.trace_id.decode(), seconds, ended_unix)

    def admitted(self, record: RequestRecord) -> None:
        """A request got its slot."""
        self.wait[record.model].observe(record.waited or 0.0)

    @property
    def tokens(self) -> dict[tuple[str, str], int]:
        """By model and kind."""
        return _by_kind(self._tokens)

    @property
    def key_tokens(self) -> dict[tuple[str, str], int]:
        """By the label of a key and kind."""
        return _by_kind(self._key_tokens)

    def cancelled(self, stage: str) -> None:
        """A client left at this stage."""
        self.cancellations[stage] += 1

    def retried(self, engine_name: str) -> None:
        """A request was taken from this engine to another."""
        self.retries[engine_name] += 1

    def responded(self, status: int) -> None:
        self.responses[_CODES.get(status, OTHER)] += 1

    def key(self, name: str) -> str:
        """The label for a key: its name, while there are not too many. The users of a trusted key have the key's."""
        if name in self._keys:
            return name
        if "/" in name:
            return self.key(name.partition("/")[0])
        if not name or len(self._keys) >= MAX_KEYS:
            return OTHER
        self._keys.add(name)
        return name

    def _sums(self, label: str) -> list[int]:
        """Those of a key that uses its first tokens."""
        sums = self._key_tokens[label] = [0] * len(TOKEN_KINDS)
        return sums

    def free_labels(self, active: Collection[str]) -> None:
        """Where all labels for keys are taken: give back those of keys that are no longer valid, with their counts."""
        if len(self._keys) < MAX_KEYS:
            return
        gone = self._keys.difference(active)
        self._keys -= gone
        for where in [where for where in self.key_requests if where[0] in gone]:
            del self.key_requests[where]
        for name in gone:
            self._key_tokens.pop(name, None)

    def _where(self, endpoint: str, model: str) -> tuple[str, str]:
        return (model if model in self.models else OTHER, endpoint if endpoint in ENDPOINTS else OTHER)


def _by_kind(sums: dict[str, list[int]]) -> dict[tuple[str, str], int]:
    return {
        (name, kind): count for name, counts in sums.items() for kind, count in zip(TOKEN_KINDS, counts, strict=True)
    }
