"""A profile and the catalog's facts -> a frozen `Plan`: every flag with its reason. Pure: no files, clock or host."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fullbatch import catalog, feasible, sizing
from fullbatch.errors import UsageError
from fullbatch.profile import Profile

Value = str | int | float | bool

# Seconds an engine may go on streaming after it was told to stop; containers get this and a little more.
DRAIN_SECONDS = 30
# Requests held by the gateway for each seat in the engine's batch: one decoding, three waiting.
IN_FLIGHT_PER_SEAT = 4
# The engine's own bound stands behind the gateway's and must not fire first: room for health probes.
ENGINE_QUEUE_MARGIN = 16
# Tokens of a step where throughput is the goal: vLLM's guide names more than 8192 for small models on large cards only.
THROUGHPUT_TOKENS = 8192


@dataclass(frozen=True)
class Flag:
    """One flag of `vllm serve`, without the dashes, and why it is there."""

    name: str
    value: Value
    reason: str

    def words(self) -> list[str]:
        """The flag as command-line words; a boolean is `--name` or `--no-name`."""
        if isinstance(self.value, bool):
            return [f"--{self.name}" if self.value else f"--no-{self.name}"]
        return [f"--{self.name}", str(self.value)]

    def shown(self) -> str:
        """The value for a person; what fills more than a line is only in `plan --json`."""
        text = str(self.value)
        return text if len(text) <= 60 else "{...}"


@dataclass(frozen=True)
class EnginePlan:
    """One engine service. Token and request counts are those of all its replicas; `gpus` is 0 on the processor."""

    service: str
    device: str
    image: str
    model: str
    served_name: str
    gpus: int
    flags: tuple[Flag, ...]
    environment: tuple[tuple[str, str], ...]
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    budget: sizing.Budget
    capacity: sizing.Capacity

    @property
    def needs_weights(self) -> bool:
        """Whether a checkpoint has to be downloaded (the tiny model is made instead)."""
        return self.model != "tiny"

    def command(self, model_path: str, host: str, port: int) -> list[str]:
        """The words after `vllm serve`. The runtime says where the model lies and where to listen, nothing else."""
        words = [model_path if self.model == "tiny" else self.model, "--served-model-name", self.served_name]
        for flag in self.flags:
            words += flag.words()
        return [*words, "--host", host, "--port", str(port)]


@dataclass(frozen=True)
class GatewayLimits:
    """Bounds of the gateway; seconds and bytes. Each exists for one failure, named in docs/gateway-behaviour.md."""

    max_body_bytes: int = 10 * 2**20
    header_timeout_s: float = 10
    body_timeout_s: float = 30
    connect_timeout_s: float = 5
    first_token_timeout_s: float = 600
    idle_timeout_s: float = 120
    max_in_flight: int = 512


@dataclass(frozen=True)
class Plan:
    """Everything the templates need, and nothing they would have to decide."""

    name: str
    description: str
    users: int
    engine_version: str
    engines: tuple[EnginePlan, ...]
    limits: GatewayLimits
    drain_seconds: int
    left_to_engine: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]


def make(name: str, profile: Profile, own: catalog.Model | None = None) -> Plan:
    """The plan for `profile`; UsageError when the model cannot work on that hardware.

    `own`: the facts of a model that the catalog does not know.
    """
    model = own or catalog.models()[profile.model]
    engine = _engine(name, profile, model)
    return Plan(
        name=name,
        description=profile.description,
        users=profile.users,
        engine_version=catalog.engine().version,
        engines=(engine,),
        limits=GatewayLimits(max_in_flight=engine.max_num_seqs * IN_FLIGHT_PER_SEAT),
        drain_seconds=DRAIN_SECONDS,
        left_to_engine=_left_to_engine(engine),
        assumptions=_assumptions(profile, model, engine),
    )


def _left_to_engine(engine: EnginePlan) -> tuple[tuple[str, str], ...]:
    utilization = catalog.engine().default_gpu_memory_utilization
    left = [
        (
            "max-num-batched-tokens",
            f"{engine.max_num_batched_tokens}: prompts are cut into chunks of this, answers go on",
        ),
        ("enable-chunked-prefill", "on since V1; turning it off is not supported"),
        ("enable-prefix-caching", "on; shared beginnings of prompts are computed once"),
    ]
    if engine.gpus:
        left.append(("gpu-memory-utilization", f"{utilization} (it was 0.9 in 2025, and counted otherwise)"))
    given = {flag.name for flag in engine.flags}
    return tuple((name, reason) for name, reason in left if name not in given)


def _engine(name: str, profile: Profile, model: catalog.Model) -> EnginePlan:
    pinned = catalog.engine()
    feasible.refuse_settings(name, profile, model)
    hardware = profile.hardware
    device = "cuda" if hardware.gpu else "cpu"
    defaults_class = catalog.gpus()[hardware.gpu].defaults_class if hardware.gpu else "cpu"
    seats, tokens = _batch(name, profile, defaults_class)
    length = _count(name, profile, "max-model-len", profile.context)
    feasible.refuse_batch(name, seats, tokens)
    budget = _budget(name, profile, model, seats, tokens)
    one = sizing.capacity(
        budget, model, length, pinned.block_size[device], feasible.kv_cache_dtype(profile), hardware.count
    )
    feasible.refuse_size(name, profile, length, budget, one)
    return EnginePlan(
        service="engine",
        device=device,
        image=pinned.images[device],
        model=profile.model,
        served_name=profile.model,
        gpus=hardware.count * hardware.replicas if hardware.gpu else 0,
        flags=_flags(profile, seats, tokens, defaults_class),
        environment=_environment(profile),
        max_num_seqs=seats * hardware.replicas,
        max_num_batched_tokens=tokens,
        max_model_len=length,
        budget=sizing.times(budget, hardware.replicas),
        capacity=sizing.capacity_times(one, hardware.replicas),
    )


def _batch(name: str, profile: Profile, defaults_class: str) -> tuple[int, int]:
    """`max_num_seqs` and `max_num_batched_tokens` of one replica."""
    pinned = catalog.engine()
    share = -(-profile.users // profile.hardware.replicas)
    seats = pinned.default_max_num_seqs[defaults_class]
    tokens = pinned.default_max_num_batched_tokens[defaults_class]
    if _for_throughput(profile):
        tokens = max(tokens, THROUGHPUT_TOKENS)
    else:
        seats = sizing.sequences_for(share, seats)
    return _count(name, profile, "max-num-seqs", seats), _count(name, profile, "max-num-batched-tokens", tokens)


def _for_throughput(profile: Profile) -> bool:
    return profile.goal == "throughput" and profile.hardware.gpu is not None


def _environment(profile: Profile) -> tuple[tuple[str, str], ...]:
    # On one machine the engine's parts need no other address; without it they take the one of the first network.
    environment = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}
    if profile.hardware.cpu:
        # 0.32's ahead-of-time artefact cannot be loaded again on the CPU ("no attribute 'finalize_loading'"):
        # every start would compile anew. Without it Inductor's own cache serves the second start.
        environment["VLLM_USE_AOT_COMPILE"] = "0"
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(profile.hardware.cpu.kv_cache_gib)
    return tuple(sorted((environment | profile.engine.env).items()))


def _count(name: str, profile: Profile, flag: str, planned: int) -> int:
    """What the profile sets for `flag` itself, else what is planned; the gateway and the dashboards need a number."""
    value = profile.engine.args.get(flag, planned)
    if isinstance(value, bool) or not str(value).isdecimal() or int(value) < 1:
        raise UsageError(f"profiles/{name}.yaml: engine.args.{flag}: {value!r}: write a whole number above 0")
    return int(value)


def _share(name: str, profile: Profile, flag: str) -> float | None:
    """A part of the whole that the profile sets for `flag` itself; None where it does not."""
    value = profile.engine.args.get(flag)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise UsageError(f"profiles/{name}.yaml: engine.args.{flag}: {value!r}: write a number above 0, at most 1")
    return float(value)


def _budget(name: str, profile: Profile, model: catalog.Model, seats: int, tokens: int) -> sizing.Budget:
    if profile.hardware.cpu:
        return sizing.cpu_budget(profile.hardware.cpu.kv_cache_gib, model)
    assert profile.hardware.gpu is not None  # Hardware holds one of the two
    knobs = sizing.Knobs(
        precision=None if profile.weights == "checkpoint" else profile.weights,
        utilization=_share(name, profile, "gpu-memory-utilization"),
        batched_tokens=tokens,
        sequences=seats,
    )
    gpu = catalog.gpus()[profile.hardware.gpu]
    return sizing.gpu_budget(gpu, profile.hardware.count, model, catalog.engine(), knobs)


def _flags(profile: Profile, seats: int, tokens: int, defaults_class: str) -> tuple[Flag, ...]:
    in_all = seats * profile.hardware.replicas
    own = [
        Flag("max-model-len", profile.context, "the longest request you asked for (profile: context)"),
        Flag(
            "max-num-queued-reqs",
            in_all * IN_FLIGHT_PER_SEAT + ENGINE_QUEUE_MARGIN,
            "the engine's own queue is unbounded by default; this stands behind the gateway's bound",
        ),
        Flag("shutdown-timeout", DRAIN_SECONDS, "by default a stop cuts every stream; this lets them end (seconds)"),
        Flag("disable-access-log-for-endpoints", "/health,/metrics", "probes and scrapes would fill the log"),
        Flag("custom-histogram-buckets", _buckets(), "its own begin at 0.3 s, too coarse for the dashboards"),
        Flag("disable-fastapi-docs", True, "the engine's own web pages are of no use behind the gateway"),
    ]
    if not _for_throughput(profile):
        reason = f"a seat in the batch for each of {profile.users} users, rounded up to 8"
        own.insert(1, Flag("max-num-seqs", seats, reason))
    elif tokens != catalog.engine().default_max_num_batched_tokens[defaults_class]:
        reason = "goal: throughput: more prompt tokens a step; running answers wait longer for each (default: 2048)"
        own.insert(1, Flag("max-num-batched-tokens", tokens, reason))
    chosen = {flag.name: flag for flag in [*own, *_special_flags(profile)]}
    for flag_name, value in profile.engine.args.items():
        chosen[flag_name] = Flag(flag_name, value, "set in the profile (engine.args)")
    return tuple(chosen.values())


def _buckets() -> str:
    return json.dumps(catalog.engine().histogram_buckets, separators=(",", ":"))


def _special_flags(profile: Profile) -> list[Flag]:
    """Flags that only some deployments need."""
    found = []
    if profile.model == "tiny":
        found.append(Flag("load-format", "dummy", "random weights, made at load: nothing to download"))
    if profile.hardware.count > 1:
        found.append(Flag("tensor-parallel-size", profile.hardware.count, "the model is cut over all cards"))
    if profile.hardware.replicas > 1:
        reason = "copies of the model, each on cards of its own; the engine deals the requests out"
        found.append(Flag("data-parallel-size", profile.hardware.replicas, reason))
    if profile.weights == "fp8":
        reason = "weights: fp8: the 16-bit checkpoint is made FP8 while it is loaded"
        found.append(Flag("quantization", "fp8_per_tensor", reason))
    if profile.kv_cache == "fp8":
        found.append(
            Flag("kv-cache-dtype", "fp8", "kv_cache: fp8: half the bytes a token; measure that it stays right")
        )
    return found


def _assumptions(profile: Profile, model: catalog.Model, engine: EnginePlan) -> tuple[str, ...]:
    found = ["a typical request uses half of its context, prompt and answer together"]
    if profile.hardware.gpu:
        weights = model.precision if profile.weights == "checkpoint" else profile.weights
        cache = feasible.kv_cache_dtype(profile).replace("auto", "16 bit")
        beside = engine.budget.overhead_gib / engine.gpus
        found.append(
            f"context, activations and CUDA graphs take about {beside:.1f} GiB a card (+-1.5 GiB); nothing else uses it"
        )
        found.append(f"weights: {weights}; KV cache: {cache}".replace("bf16", "16 bit"))
    if model.sliding_layers:
        found.append(
            f"{model.sliding_layers} of {model.layers} layers look back {model.sliding_window} tokens only; they are "
            "counted as if they kept everything, so long requests cost less than is shown here"
        )
    return (*found, *model.notes)
