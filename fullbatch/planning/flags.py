"""Chooses the flags of `vllm serve`, as few as matter, each with its reason. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import JsonValue

from fullbatch import catalog
from fullbatch.planning import adapters, engine_args, pictures
from fullbatch.planning.engine_step import EngineStep, defaults_class
from fullbatch.planning.hardware import Card
from fullbatch.planning.profile import Profile

Value = JsonValue

# Seconds an engine may go on streaming after it was told to stop; containers get this and a little more.
DRAIN_SECONDS = 30

# Tokens of the largest step with a CUDA graph: the engine's own, min(2 x seats, 512), where seats are left to it
# (config/vllm.py, _set_cudagraph_sizes). With fewer seats a prompt of 128 tokens had its first token after 36 to
# 40 ms instead of 17 to 25 (docs/results/2026-11-23-h100.md). The graphs of all sizes are what calibration.yaml keeps
# memory for.
GRAPH_TOKENS = 512


@dataclass(frozen=True)
class Flag:
    """One flag of `vllm serve`, without the dashes, and why it is there."""

    name: str
    value: Value
    reason: str

    def words(self) -> list[str]:
        """The flag as command-line words; a boolean is `--name` or `--no-name`, a list several words."""
        return engine_args.words(self.name, self.value)

    def shown(self) -> str:
        """The value for a person; what fills more than a line is only in `plan --json`."""
        text = str(self.value)
        return text if len(text) <= 60 else "{...}"


def choose(profile: Profile, step: EngineStep, held: int) -> tuple[Flag, ...]:
    """Every flag that is given; `held`: requests the engine holds itself at most."""
    own = [
        Flag("max-model-len", profile.context, "the longest request you asked for (profile: context)"),
        *_step(profile, step),
        Flag(
            "max-num-queued-reqs",
            held,
            "the engine's own queue is unbounded by default; this stands behind the gateway's bound",
        ),
        Flag("shutdown-timeout", DRAIN_SECONDS, "by default a stop cuts every stream; this lets them end (seconds)"),
        Flag(
            "disable-access-log-for-endpoints", "/health,/metrics,/v1/models", "probes and scrapes would fill the log"
        ),
        Flag("custom-histogram-buckets", _buckets(), "its own begin at 0.3 s, too coarse for the dashboards"),
        Flag("enable-prompt-tokens-details", True, "usage then says how many tokens of a prompt came from the cache"),
        Flag("disable-fastapi-docs", True, "the engine's own web pages are of no use behind the gateway"),
    ]
    more = adapters.chosen(adapters.of(profile.adapters), profile.engine.args)
    chosen = {flag.name: flag for flag in [*own, *_special(profile), *(Flag(*one) for one in more)]}
    for name, value in profile.engine.args.items():
        chosen[name] = Flag(name, value, "set in the profile (engine.args)")
    return tuple(chosen.values())


def of_model(profile: Profile, model: catalog.Model) -> tuple[Flag, ...]:
    """What follows from the model's own facts, where the profile does not say it."""
    found = []
    if model.revision or profile.revision:
        pinned = "the commit that these numbers are of" if model.revision else "profile: revision"
        found.append(Flag("revision", model.revision or profile.revision, pinned))
    if model.pooling:
        found.append(Flag("runner", "pooling", f"{model.title} makes vectors or scores, no text"))
    seen = pictures.plan(model.sight, profile.pictures, profile.context, model.name)
    found += [Flag(*one) for one in pictures.chosen(seen, profile.media_domains)]
    return tuple(flag for flag in found if flag.name not in profile.engine.args)


def _step(profile: Profile, step: EngineStep) -> list[Flag]:
    """What differs from the engine's own default only."""
    pinned, kind = catalog.engine(), defaults_class(profile)
    found = []
    # In a mode of its own the engine doubles what it is not given, and a card that is not in the catalog may be of
    # another class than its memory says.
    moved = "performance-mode" in profile.engine.args or isinstance(profile.hardware.gpu, Card)
    if moved or profile.goal != "throughput" or step.sequences != pinned.default_max_num_seqs[kind]:
        found.append(Flag("max-num-seqs", step.sequences, step.why_sequences))
    default = pinned.default_max_num_batched_tokens[kind]
    if moved or step.tokens != default:
        found.append(Flag("max-num-batched-tokens", step.tokens, f"{step.why_tokens} (default: {default})"))
    if profile.hardware.gpu and 2 * step.sequences < GRAPH_TOKENS and not _own_graphs(profile):
        reason = f"else CUDA graphs end at 2 x seats = {2 * step.sequences} tokens, and short prompts run without"
        found.append(Flag("max-cudagraph-capture-size", GRAPH_TOKENS, reason))
    return found


def _own_graphs(profile: Profile) -> bool:
    """Whether the profile chooses CUDA graphs itself, beside which our size would be refused, or wants none."""
    args = profile.engine.args
    compiled = set(engine_args.parts(args, "compilation-config"))
    sizes = compiled & {"cudagraph_capture_sizes", "max_cudagraph_capture_size", "cudagraph_mode"}
    return bool(sizes) or "cudagraph-capture-sizes" in args or args.get("enforce-eager") is True


def _buckets() -> str:
    return json.dumps(catalog.engine().histogram_buckets, separators=(",", ":"))


def _special(profile: Profile) -> list[Flag]:
    """Flags that only some deployments need."""
    found = []
    if profile.gateway.tracing:
        url = f"{profile.gateway.tracing}/v1/traces"
        found.append(Flag("otlp-traces-endpoint", url, "its spans lie below the gateway's (profile: gateway.tracing)"))
    if profile.model == "tiny":
        found.append(Flag("load-format", "dummy", "random weights, made at load: nothing to download"))
    if profile.hardware.count > 1:
        where = "all cards" if profile.hardware.nodes == 1 else "all cards of a machine"
        found.append(Flag("tensor-parallel-size", profile.hardware.count, f"each layer is cut over {where}"))
    if profile.hardware.nodes > 1:
        found.append(
            Flag("pipeline-parallel-size", profile.hardware.nodes, "each machine holds its part of the layers")
        )
        found.append(Flag("nnodes", profile.hardware.nodes, "machines that hold one copy of the model together"))
    if profile.weights == "fp8":
        reason = "weights: fp8: the 16-bit checkpoint is made FP8 while it is loaded"
        found.append(Flag("quantization", "fp8_per_tensor", reason))
    if profile.kv_cache == "fp8":
        found.append(
            Flag("kv-cache-dtype", "fp8", "kv_cache: fp8: half the bytes a token; measure that it stays right")
        )
    return found


def left_to_engine(profile: Profile, step: EngineStep, given: tuple[Flag, ...]) -> tuple[tuple[str, str], ...]:
    """What is not given because the engine does it anyway, and what it does."""
    left = [
        ("max-num-batched-tokens", f"{step.tokens}: prompts are cut into chunks of this, answers go on"),
        ("enable-chunked-prefill", "on since V1; turning it off is not supported"),
        ("enable-prefix-caching", "on; shared beginnings of prompts are computed once"),
    ]
    if profile.hardware.gpu:
        utilization = catalog.engine().default_gpu_memory_utilization
        left.append(("gpu-memory-utilization", f"{utilization} (it was 0.9 in 2025, and counted otherwise)"))
    names = {flag.name for flag in given}
    return tuple((name, reason) for name, reason in left if name not in names)


def environment(profile: Profile) -> tuple[tuple[str, str], ...]:
    """Variables of the engine's process, sorted."""
    found = {"VLLM_NO_USAGE_STATS": "1"}
    if profile.hardware.nodes == 1:
        # On one machine the engine's parts need no other address; without it they take the one of the first network.
        found["VLLM_HOST_IP"] = "127.0.0.1"
    if profile.media_domains:
        found["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] = "0"  # an allowed host could send it to any other
    if profile.gateway.tracing:
        found |= {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "vllm"}
    if profile.hardware.cpu:
        # 0.32's ahead-of-time artefact cannot be loaded again on the CPU ("no attribute 'finalize_loading'"):
        # every start would compile anew. Without it Inductor's own cache serves the second start.
        found["VLLM_USE_AOT_COMPILE"] = "0"
        found["VLLM_CPU_KVCACHE_SPACE"] = str(profile.hardware.cpu.kv_cache_gib)
    return tuple(sorted((found | profile.engine.env).items()))
