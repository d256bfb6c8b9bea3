"""vLLM 0.32's /metrics: the names, labels and types of `vllm/v1/metrics/loggers.py` that a user of it reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tests.fakes.engine.knobs import Knobs

_TTFT = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
    640,
    2560,
)
_ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_LATENCY = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
_STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Meters:
    """Counts what the batch does; rendered as Prometheus text on request."""

    def __init__(self, knobs: Knobs) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"model_name": knobs.model, "engine": "0"}
        self._gauges = {
            name: self._gauge(f"vllm:{name}", text)
            for name, text in (
                ("num_requests_running", "Number of requests in model execution batches."),
                ("num_requests_waiting", "Number of requests waiting to be processed."),
                ("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
            )
        }
        self._waiting_by_reason = Gauge(
            "vllm:num_requests_waiting_by_reason",
            "Requests waiting, by reason.",
            [*self._labels, "reason"],
            registry=self._registry,
        )
        self._ttft = self._histogram("vllm:time_to_first_token_seconds", _TTFT)
        self._itl = self._histogram("vllm:inter_token_latency_seconds", _ITL)
        self._e2e = self._histogram("vllm:e2e_request_latency_seconds", _LATENCY)
        self._prompt = self._histogram("vllm:request_prompt_tokens", _TOKENS)
        self._generation = self._histogram("vllm:request_generation_tokens", _TOKENS)
        self._iterations = self._histogram("vllm:iteration_tokens_total", _STEP_TOKENS)
        self._prompt_tokens = self._counter("vllm:prompt_tokens", "Number of prefill tokens processed.")
        by_source = Counter(
            "vllm:prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            [*self._labels, "source"],
            registry=self._registry,
        )
        sources = ("local_compute", "local_cache_hit", "external_kv_transfer")
        self._by_source = {source: by_source.labels(*self._labels.values(), source) for source in sources}
        self._generation_tokens = self._counter("vllm:generation_tokens", "Number of generation tokens processed.")
        self._preemptions = self._counter("vllm:num_preemptions", "Cumulative number of preemptions.")
        self._queries = self._counter("vllm:prefix_cache_queries", "Prefix cache queries, in queried tokens.")
        self._hits = self._counter("vllm:prefix_cache_hits", "Prefix cache hits, in cached tokens.")
        success = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            [*self._labels, "finished_reason"],
            registry=self._registry,
        )
        self._success = {r: success.labels(*self._labels.values(), r) for r in ("stop", "length", "abort", "error")}
        self._cache_config(knobs)
        self.preemptions = 0
        self.aborted = 0

    def first_token(self, prompt_tokens: int, seconds: float) -> None:
        self._ttft.observe(seconds)
        self._prompt_tokens.inc(prompt_tokens)
        self._by_source["local_compute"].inc(prompt_tokens)
        self._queries.inc(prompt_tokens)
        self._generation_tokens.inc()

    def step(self, tokens: int) -> None:
        self._iterations.observe(tokens)

    def next_token(self, seconds: float) -> None:
        self._itl.observe(seconds)
        self._generation_tokens.inc()

    def finished(self, prompt_tokens: int, generated: int, seconds: float) -> None:
        self._success["length"].inc()
        self._prompt.observe(prompt_tokens)
        self._generation.observe(generated)
        self._e2e.observe(seconds)

    def render(self, running: int, waiting: int, kv_usage: float) -> bytes:
        self._gauges["num_requests_running"].set(running)
        self._gauges["num_requests_waiting"].set(waiting)
        self._gauges["kv_cache_usage_perc"].set(kv_usage)
        for reason, value in (("capacity", waiting), ("deferred", 0)):
            self._waiting_by_reason.labels(*self._labels.values(), reason).set(value)
        self._preemptions.inc(self.preemptions)
        self.preemptions = 0
        return generate_latest(self._registry)

    def _cache_config(self, knobs: Knobs) -> None:
        labels = {
            "engine": "0",
            "block_size": str(knobs.block_size),
            "cache_dtype": "auto",
            "enable_prefix_caching": "True",
            "gpu_memory_utilization": "0.9",
            "kv_cache_max_concurrency": f"{knobs.kv_tokens / knobs.max_model_len:.2f}",
            "kv_cache_memory_bytes": "None",
            "kv_cache_size_tokens": str(knobs.kv_tokens),
            "num_gpu_blocks": str(knobs.kv_tokens // knobs.block_size),
        }
        info = Gauge(
            "vllm:cache_config_info", "Information of the LLMEngine CacheConfig", labels, registry=self._registry
        )
        info.labels(**labels).set(1)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, list(self._labels), registry=self._registry).labels(**self._labels)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, list(self._labels), registry=self._registry).labels(**self._labels)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        text = f"Histogram of {name}."
        found = Histogram(name, text, list(self._labels), buckets=buckets, registry=self._registry)
        return found.labels(**self._labels)
