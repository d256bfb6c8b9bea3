"""Every rendered engine command, judged by the argument parser of the very vLLM that is pinned. Started once."""

from __future__ import annotations

import dataclasses

import pytest

from fullbatch import catalog
from fullbatch.catalog import engine_flags
from fullbatch.planning import engine_args, profile
from fullbatch.rendering import check
from fullbatch.runtime.compose import config
from tests.fullbatch.checkout import REPOSITORY

PYTHON = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"
WRONG = {
    "a flag that is gone": ["tiny", "--swap-space", "4"],
    "a short form": ["tiny", "--max-num-se", "8"],
    "no number": ["tiny", "--max-num-seqs", "many"],
    "no choice": ["tiny", "--dtype", "bfloat61"],
    "a mistyped flag": ["tiny", "--max-modle-len", "4096"],
}
GONE = {f"gone: {flag}": ["tiny", f"--{flag}", "1"] for flag in catalog.flags()["gone"]}
# What `fullbatch explain` names in their place, and what a plan gives only for cards.
TAKEN = {
    " ".join(words): ["tiny", *words]
    for words in (
        ["--long-prefill-token-threshold", "512"], ["--enable-log-requests"], ["--structured-outputs-config", "{}"],
        ["--runner", "pooling"], ["--convert", "embed"], ["--max-cudagraph-capture-size", "64"],
        ["--hf-overrides", "{}"], ["--reasoning-parser", "qwen3"], ["--quantization", "fp8_per_tensor"],
        ["--kv-cache-dtype", "fp8"], ["--kv-cache-dtype", "int8_per_token_head"], ["--tensor-parallel-size", "2"],
        ["--nnodes", "2", "--node-rank", "1", "--master-addr", "10.0.0.1", "--headless"],
    )
}  # fmt: skip
# What a profile may give beside one value: several, a mapping, a part of one.
WRITTEN = {
    f"written: {name}": ["tiny", *engine_args.words(name, value)]
    for name, value in {
        "lora-modules": ["a=/x", {"name": "b", "path": "/y"}],
        "middleware": ["a", "b"],
        "cudagraph-capture-sizes": [1, 2, 4],
        "hf-overrides": {"max_position_embeddings": 16384},
        "limit-mm-per-prompt": {"image": 0},
        "compilation-config": {"cudagraph_mode": "NONE"},
        "compilation-config.cudagraph_mode": "NONE",
        "allowed-origins": ["*"],
        "kv-cache-memory-bytes": "8G",
    }.items()
}

pytestmark = [
    pytest.mark.engine,
]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str | None]:
    commands = (
        {
            f"{name}: {service}": words
            for name in profile.names(REPOSITORY)
            for service, words in config.engine_commands(REPOSITORY, name).items()
        }
        | WRONG
        | GONE
        | TAKEN
        | WRITTEN
    )
    said = check.ask_engine_parser(REPOSITORY, PYTHON, list(commands.values()))
    return dict(zip(commands, said, strict=True))


@pytest.mark.parametrize("name", profile.names(REPOSITORY))
def test_every_rendered_command_passes(verdicts: dict[str, str | None], name: str) -> None:
    found = {label: said for label, said in verdicts.items() if label.startswith(f"{name}: ")}
    assert any(label.startswith((f"{name}: engine", f"{name}: launcher")) for label in found)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(("label", "words"), WRONG.items())
def test_a_wrong_flag_is_reported_in_the_parsers_words(
    verdicts: dict[str, str | None], label: str, words: list[str]
) -> None:
    said = verdicts[label]
    assert said is not None
    assert words[1] in said
    assert "\n" not in said


@pytest.mark.parametrize("label", GONE)
def test_a_flag_said_to_be_gone_is_refused(verdicts: dict[str, str | None], label: str) -> None:
    assert verdicts[label] is not None


@pytest.mark.parametrize("label", [*TAKEN, *WRITTEN])
def test_a_flag_named_in_its_place_is_taken(verdicts: dict[str, str | None], label: str) -> None:
    assert verdicts[label] is None


def test_the_record_of_flags_is_current() -> None:
    """scripts/record-flags writes it anew."""
    assert {name: dataclasses.asdict(taken) for name, taken in engine_flags.taken().items()} == {
        name: {"takes": facts["takes"], "several": facts.get("several", ""), "choices": tuple(facts.get("choices", ()))}
        for name, facts in check.engine_flags(REPOSITORY, PYTHON).items()
    }
