"""What the pinned engine does with the architecture of a config.json: serve it, sized exactly or not, or refuse it."""

from __future__ import annotations

from typing import Any

from fullbatch.catalog import classes, layers, read, states

_NONE = "(none named)"
# Architectures whose weights the formulas of `parameters` and `towers` miss by more than 2 % of what Transformers
# counts (tests/fixtures/parameters.json; a test holds this list to it), and by how much they are taken more: what sees
# or hears is unlike others', or blocks run several times.
ROUGHLY = {
    "Blip2ForConditionalGeneration": 1.1, "CohereAsrForConditionalGeneration": 1.86, "ColModernVBertForRetrieval": 1.1,
    "ColPaliForRetrieval": 1.16, "GlmAsrForConditionalGeneration": 1.0, "GraniteSpeechForConditionalGeneration": 1.04,
    "GraniteSpeechPlusForConditionalGeneration": 1.04, "HrmTextForCausalLM": 1.58,
    "InklingForConditionalGeneration": 1.79, "MiniCPM3ForCausalLM": 1.13, "Mistral3ForConditionalGeneration": 1.0,
    "MuseGlimmerForConditionalGeneration": 1.06, "NemotronH_Omni_Reasoning_V3": 1.1,
    "SiglipModel": 1.04, "VibeVoiceAsrForConditionalGeneration": 1.07,
    "VoxtralForConditionalGeneration": 1.0, "WhisperForConditionalGeneration": 1.4, "Zamba2ForCausalLM": 1.0,
}  # fmt: skip
# Caches that are laid out by rules of their own, which `kvcache` does not follow.
_OWN_CACHE = {
    "DeepseekV4": "compressed blocks beside a window",
    "DeepseekV41": "compressed blocks beside a window",
    "Inkling": "short convolutions beside windows",
    "Qwen4Exp": "sparse attention and states of two sizes",
    "Glm5Next": "pooled keys beside latents",
    "MiniMaxM3Sparse": "an index beside the keys",
    "Dots3Note": "a cache of its own",
    "DeciLM": "blocks that differ from layer to layer",
}
# Models that read and do not write: attention both ways keeps nothing of a request.
_ENCODERS = (
    "bert", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "gte", "new", "clip", "siglip", "colmodernvbert",
    "modernvbert", "openai_privacy_filter", "embedding_gemma2", "distilbert",
)  # fmt: skip
# Encoders and decoders: beside its own words the second keeps those of the first.
_CROSSED = ("whisper", "cohere_asr", "bart", "mbart", "florence2", "nemotron_parse")
_ENGINE = "the pinned engine"


def architecture(data: dict[str, Any]) -> str:
    """The first architecture that is named."""
    named = data.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else _NONE


def is_served(data: dict[str, Any]) -> bool:
    """Whether the pinned engine has a model class for it."""
    return classes.kind(architecture(data)) in ("generate", "pooling")


def is_believed(data: dict[str, Any]) -> bool:
    """Whether windows and states are what its config says: the engine has, or had, a class for them."""
    return is_served(data) or classes.gone(architecture(data)) is not None


def more(data: dict[str, Any]) -> float:
    """By how much the reckoned weights are taken more."""
    return ROUGHLY.get(architecture(data), 1.1)


def pools(data: dict[str, Any]) -> bool:
    """Whether it makes vectors or scores instead of text."""
    return classes.kind(architecture(data)) == "pooling"


def takes_adapters(data: dict[str, Any]) -> bool:
    """Whether the pinned engine serves LoRA adapters with it; said of every architecture that is not known not to."""
    return architecture(data) not in read("no_adapters.yaml")["architectures"]


def speaks(data: dict[str, Any]) -> bool:
    """Whether it has words out."""
    name = architecture(data)
    return not pools(data) or name.endswith(("ForCausalLM", "ForConditionalGeneration"))


def keeps_tokens(data: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Whether anything of a request is kept: an encoder looks both ways and keeps nothing."""
    return not (pools(data) and str(facts.get("model_type")) in _ENCODERS)


def needs_remote_code(data: dict[str, Any]) -> bool:
    """Whether the engine has to run code of the repository: neither Transformers nor vLLM knows its configuration."""
    has_code = isinstance(data.get("auto_map"), dict)
    return has_code and not classes.is_known(data) and classes.kind(architecture(data)) is None


def refusal(data: dict[str, Any]) -> str:
    """Why the pinned engine does not serve it, in a sentence; "" where it does, or where nobody knows."""
    name = architecture(data)
    version = classes.recorded()["versions"]["vllm"]
    gone = classes.gone(name)
    if gone and classes.kind(name) is None and not classes.has_stand_in(name):
        return f"vLLM {version} serves {name} no more, {gone} was the last that did; choose a newer model of its kind"
    if classes.kind(name) == "draft":
        return (
            f"{name} drafts tokens for another model; name that model, and this one in engine.args.speculative-config"
        )
    return ""


def doubts(data: dict[str, Any], facts: dict[str, Any]) -> tuple[str, ...]:
    """What of it is not sized exactly, in sentences."""
    name, found = architecture(data), []
    if not is_served(data) and classes.gone(name):
        found.append(
            f"vLLM {classes.recorded()['versions']['vllm']} has no class of its own for {name} any more "
            f"({classes.gone(name)} was the last): it starts only if that of Transformers can stand in"
        )
    elif not is_served(data):
        version = classes.recorded()["versions"]["vllm"]
        found.append(
            f"the architecture {name} is not in vLLM {version}'s list: sized as a plain decoder that keeps every "
            "token, and it starts only if Transformers alone can run it"
        )
    elif own := _OWN_CACHE.get(name.removesuffix("ForCausalLM").removesuffix("ForConditionalGeneration")):
        found.append(f"{name} has {own}: its KV cache is reckoned as if it were plain")
    elif name in ROUGHLY:
        found.append(f"the weights of {name} are reckoned roughly: parts of it are unlike those of other models")
    elif not any(classes.is_counted(one) for one in (classes.model_type(data), str(facts.get("model_type")))):
        found.append(
            f"the weights of {name} are reckoned as other models have them: Transformers has no class to count"
        )
    strange = layers.unknown_kinds(facts) if is_believed(data) else []
    if strange:
        found.append(f"layers of the kind {', '.join(strange)} are not known here: sized as if they kept every token")
    if states.keeps_any(facts) and (not is_believed(data) or states.read(facts) is None):
        found.append("some layers keep a state of a size not known here: sized as if every layer kept a KV cache")
    if str(facts.get("model_type")) in _CROSSED:
        found.append("the decoder keeps what the encoder heard or saw as well: not counted")
    return tuple(found)
