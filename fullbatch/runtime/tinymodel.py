"""Makes the tiny test model: a true Qwen2 architecture with random weights, small enough for two CPU cores.

It measures speed, not wit: the weights are never written, the engine fills them at load (`--load-format dummy`).
The file needs only `tokenizers`, so that the engine's own image can run it: `python3 tinymodel.py --out DIR`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

LAYERS = 4
HIDDEN = 256
HEADS = 4
KV_HEADS = 2
HEAD_DIM = 64
FFN = 704
VOCAB = 2048
MAX_POSITIONS = 8192

END_OF_TEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": MAX_POSITIONS,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": VOCAB,
    "bos_token_id": 0,
    "eos_token_id": 2,
}

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_SUBJECTS = "the engine|a request|the batch|every user|the cache|one token|the gateway|a prompt|the queue|our model"
_VERBS = "waits for|fills|shares|measures|schedules|streams|prefills|decodes|evicts|admits|answers|counts"
_OBJECTS = "a block|the next step|ten requests|its own context|the budget|a slot|the reply|the first token|more memory"
_TAILS = "at once|in order|under load|without a pause|after the prefill|for fifty people|on one card|every second"


def corpus() -> Iterator[str]:
    """Sentences of the field's own words: enough text to train a byte-level BPE of `VOCAB` entries, always the same."""
    for subject in _SUBJECTS.split("|"):
        for verb in _VERBS.split("|"):
            for thing in _OBJECTS.split("|"):
                for number, tail in enumerate(_TAILS.split("|")):
                    yield f"{subject} {verb} {thing} {tail}. {subject.capitalize()}, number {number * 137}, {tail}!\n"


def write_tokenizer(out: Path) -> None:
    """Train the tokenizer and write `tokenizer.json`, padded with unused entries to exactly `VOCAB`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[END_OF_TEXT, IM_START, IM_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    # A model with random weights picks any id below VOCAB; each must have a text, or streams carry empty chunks.
    missing = VOCAB - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f" w{number:04d}" for number in range(missing)])
    _place(out / "tokenizer.json", lambda path: tokenizer.save(str(path)))


def write_model(out: Path) -> None:
    """Write a model directory vLLM can serve with `--load-format dummy` into `out` (made if missing)."""
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(out)
    files = {
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": 2},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": IM_END,
            "pad_token": END_OF_TEXT,
            "model_max_length": MAX_POSITIONS,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
        # Last: it is what says that the directory is complete.
        "config.json": CONFIG,
    }
    for name, content in files.items():
        text = json.dumps(content, indent=2) + "\n"
        _place(out / name, partial(Path.write_text, data=text, encoding="utf-8"))


def _place(path: Path, write: Callable[[Path], object]) -> None:
    """Whole from the first moment on: two engines may be started at once, and one read what the other writes."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    write(half)
    half.replace(path)


def write_if_missing(out: Path) -> None:
    """`write_model`, unless it is there already; OSError where `out` cannot be written."""
    if not (out / "config.json").exists():
        write_model(out)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tinymodel", description="Make the tiny test model (random weights).")
    parser.add_argument("--out", type=Path, required=True, help="directory to write it into")
    out: Path = parser.parse_args(argv).out
    try:
        write_if_missing(out)
    except OSError as error:
        sys.stderr.write(f"{out}: {error.strerror}; name a directory that can be written\n")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
