"""A profile and the catalog's facts -> a frozen `Plan`: every flag with its reason. Pure: no files, clock or host."""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch import catalog, sizing
from fullbatch.errors import UsageError
from fullbatch.profile import Profile

Value = str | int | float | bool

# Seconds an engine may go on streaming after it was told to stop; containers get this and a little more.
DRAIN_SECONDS = 30
# Requests held by the gateway for each seat in the engine's batch: one decoding, three waiting.
IN_FLIGHT_PER_SEAT = 4
# The engine's own bound stands behind the gateway's and must not fire first: room for health probes.
ENGINE_QUEUE_MARGIN = 16


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


@dataclass(frozen=True)
class EnginePlan:
    """One engine service. Token and request counts are per engine process; `gpus` is 0 on the processor."""

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


def make(name: str, profile: Profile) -> Plan:
    """The plan for `profile`; UsageError when the model cannot work on that hardware."""
    engine = _engine(name, profile)
    pinned = catalog.engine()
    left = (
        (
            "max-num-batched-tokens",
            f"{engine.max_num_batched_tokens}: prompts are cut into chunks of this, answers go on",
        ),
        ("enable-chunked-prefill", "on since V1; turning it off is not supported"),
        ("enable-prefix-caching", "on; shared beginnings of prompts are computed once"),
        (
            "gpu-memory-utilization",
            f"{pinned.default_gpu_memory_utilization} (it was 0.9 in 2025, and counted otherwise)",
        ),
    )
    return Plan(
        name=name,
        description=profile.description,
        users=profile.users,
        engine_version=pinned.version,
        engines=(engine,),
        limits=GatewayLimits(max_in_flight=engine.max_num_seqs * IN_FLIGHT_PER_SEAT),
        drain_seconds=DRAIN_SECONDS,
        left_to_engine=left if engine.gpus else left[:-1],
        assumptions=_assumptions(profile),
    )


def _engine(name: str, profile: Profile) -> EnginePlan:
    pinned = catalog.engine()
    model = catalog.models()[profile.model]
    device = "cuda" if profile.hardware.gpu else "cpu"
    defaults_class = catalog.gpus()[profile.hardware.gpu].defaults_class if profile.hardware.gpu else "cpu"
    budget = _budget(profile, model, pinned)
    length = _count(name, profile, "max-model-len", profile.context)
    capacity = sizing.capacity(budget, model, length, pinned.block_size[device])
    _refuse_what_cannot_fit(name, profile.model, length, budget, capacity)
    seats = sizing.sequences_for(profile.users, pinned.default_max_num_seqs[defaults_class])
    seqs = _count(name, profile, "max-num-seqs", seats)
    tokens = pinned.default_max_num_batched_tokens[defaults_class]
    # On one machine the engine's parts need no other address; without it they take the one of the first network.
    environment = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}
    if profile.hardware.cpu:
        # 0.32's ahead-of-time artefact cannot be loaded again on the CPU ("no attribute 'finalize_loading'"):
        # every start would compile anew. Without it Inductor's own cache serves the second start.
        environment["VLLM_USE_AOT_COMPILE"] = "0"
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(profile.hardware.cpu.kv_cache_gib)
    return EnginePlan(
        service="engine",
        device=device,
        image=pinned.images[device],
        model=profile.model,
        served_name=profile.model,
        gpus=profile.hardware.count if profile.hardware.gpu else 0,
        flags=_flags(profile, seqs),
        environment=tuple(sorted((environment | profile.engine.env).items())),
        max_num_seqs=seqs,
        max_num_batched_tokens=_count(name, profile, "max-num-batched-tokens", tokens),
        max_model_len=length,
        budget=budget,
        capacity=capacity,
    )


def _count(name: str, profile: Profile, flag: str, planned: int) -> int:
    """What the profile sets for `flag` itself, else what is planned; the gateway and the dashboards need a number."""
    value = profile.engine.args.get(flag, planned)
    if isinstance(value, bool) or not str(value).isdecimal() or int(value) < 1:
        raise UsageError(f"profiles/{name}.yaml: engine.args.{flag}: {value!r}: write a whole number above 0")
    return int(value)


def _budget(profile: Profile, model: catalog.Model, pinned: catalog.Engine) -> sizing.Budget:
    if profile.hardware.cpu:
        return sizing.cpu_budget(profile.hardware.cpu.kv_cache_gib, model)
    assert profile.hardware.gpu is not None  # Hardware holds one of the two
    return sizing.gpu_budget(catalog.gpus()[profile.hardware.gpu], profile.hardware.count, model, pinned)


def _refuse_what_cannot_fit(
    name: str, model: str, length: int, budget: sizing.Budget, capacity: sizing.Capacity
) -> None:
    if capacity.concurrency_worst >= 1:
        return
    if budget.kv_gib <= 0:
        raise UsageError(
            f"profiles/{name}.yaml: {model} needs {budget.weights_gib:.1f} GiB for its weights and about "
            f"{budget.overhead_gib:.1f} GiB beside them, the engine may use {budget.usable_gib:.1f} GiB: it does not "
            "fit; choose a smaller model or more cards (hardware.count)"
        )
    raise UsageError(
        f"profiles/{name}.yaml: context: {length} tokens do not fit the KV cache, which holds "
        f"{capacity.kv_tokens}; write at most {capacity.kv_tokens}"
    )


def _flags(profile: Profile, seqs: int) -> tuple[Flag, ...]:
    own = [
        Flag("max-model-len", profile.context, "the longest request you asked for (profile: context)"),
        Flag("max-num-seqs", seqs, f"a seat in the batch for each of {profile.users} users, rounded up to 8"),
        Flag(
            "max-num-queued-reqs",
            seqs * IN_FLIGHT_PER_SEAT + ENGINE_QUEUE_MARGIN,
            "the engine's own queue is unbounded by default; this stands behind the gateway's bound",
        ),
        Flag("shutdown-timeout", DRAIN_SECONDS, "by default a stop cuts every stream; this lets them end (seconds)"),
        Flag("disable-access-log-for-endpoints", "/health,/metrics", "probes and scrapes would fill the log"),
        Flag("disable-fastapi-docs", True, "the engine's own web pages are of no use behind the gateway"),
    ]
    if profile.model == "tiny":
        own.append(Flag("load-format", "dummy", "random weights, made at load: nothing to download"))
    if profile.hardware.count > 1:
        own.append(Flag("tensor-parallel-size", profile.hardware.count, "the model is cut over all cards"))
    chosen = {flag.name: flag for flag in own}
    for flag_name, value in profile.engine.args.items():
        chosen[flag_name] = Flag(flag_name, value, "set in the profile (engine.args)")
    return tuple(chosen.values())


def _assumptions(profile: Profile) -> tuple[str, ...]:
    common = "a typical request uses half of its context, prompt and answer together"
    if profile.hardware.cpu:
        return (common,)
    return (
        common,
        "context, activations and CUDA graphs take about 1.8 GiB a card (+-1.5 GiB); nothing else uses the card",
        "KV cache and weights at 16 bit",
    )
