from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.catalog import engine_flags
from fullbatch.core.errors import UsageError
from fullbatch.planning import engine_args, hardware, profile

TAKEN = engine_flags.taken()
MEANINGS = engine_flags.meanings()
# A value of the right kind.
RIGHT = {"switch": True, "mark": True, "integer": 8, "number": 0.5, "size": 4096, "json": {}, "text": "x"}


def _right(name: str) -> Any:
    return TAKEN[name].choices[0] if TAKEN[name].choices else RIGHT[TAKEN[name].takes]


@pytest.mark.parametrize("name", [name for name, meaning in MEANINGS.items() if meaning.kind in ("sized", "unsized")])
def test_a_flag_of_the_engine_passes_with_a_value_of_its_kind(name: str) -> None:
    assert engine_args.faults({name: _right(name)}) == []


@pytest.mark.parametrize("name", [name for name, meaning in MEANINGS.items() if meaning.kind == "setting"])
def test_what_a_setting_stands_for_is_refused_and_the_setting_named(name: str) -> None:
    said = engine_args.faults({name: _right(name)})[0]
    setting = said.removeprefix(f"{name}: use ").split(",")[0]
    # It exists.
    group, _, inner = setting.rpartition(".")
    fields = hardware.Hardware.model_fields if group == "hardware" else profile.Profile.model_fields
    assert inner in fields, said


@pytest.mark.parametrize("name", [name for name, meaning in MEANINGS.items() if meaning.kind in ("ours", "refused")])
def test_what_would_break_the_plan_or_the_gateway_is_refused(name: str) -> None:
    assert engine_args.faults({name: _right(name)})


@pytest.mark.parametrize("name", sorted(catalog.flags()["gone"]))
def test_a_flag_that_is_gone_is_refused_with_its_successor(name: str) -> None:
    said = engine_args.faults({name: "1"})[0]
    assert said.startswith(f"{name}: vLLM 0.32.0 refuses it; ")
    assert len(said.split("; ", 1)[1]) > 10


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("no-such-flag", 1, "vLLM 0.32.0 has no such flag"),
        ("max-num-seq", 1, "has no such flag (did you mean max-num-seqs?)"),
        ("tp", 2, "has no such flag"),
        ("tensor-parallel", 2, "has no such flag (did you mean tensor-parallel-size?)"),
        ("no-enable-prefix-caching", True, "write enable-prefix-caching: false"),
        ("enforce-eager", 1, "1: write true or false"),
        ("enforce-eager", "true", "'true': write true or false"),
        ("aggregate-engine-logging", False, "False: write true, or remove it"),
        ("max-num-seqs", True, "True: write a whole number"),
        ("max-num-seqs", 4.5, "4.5: write a whole number"),
        ("max-num-seqs", "many", "'many': write a whole number"),
        ("gpu-memory-utilization", "much", "'much': write a number"),
        ("gpu-memory-utilization", float("nan"), "nan: write a number"),
        ("kv-cache-memory-bytes", "8 GB", "'8 GB': write a whole number, or one such as 8G"),
        ("kv-cache-dtype", "fp7", "'fp7': write one of auto, bfloat16, "),
        ("dtype", ["auto"], "['auto']: write a text or a number"),
        ("dtype", None, "None: write a text or a number"),
        ("lora-modules", [], "[]: write at least one"),
        ("lora-modules", [None], "None: write a text or a number, or a list"),
        ("cudagraph-capture-sizes", [1, "x"], "'x': write a whole number, or a list"),
        ("hf-overrides", [None, True], ""),
        ("max-num-seqs.x", 1, "max-num-seqs has no parts"),
        ("compilation-config.mode", None, "None: write a value"),
        ("api-key", "x", "set by Fullbatch itself, keys are the gateway's"),
        ("--dtype", "x", "write the flag without dashes"),
    ],
)  # fmt: skip
def test_one_line_says_what_would_be_right(name: str, value: Any, said: str) -> None:
    found = engine_args.faults({name: value})
    assert (
        found == []
        if not said
        else [len(found), found[0].split(": ", 1)[1][: len(said)]] == [1, said] or (said in found[0])
    )


@pytest.mark.parametrize(
    "args",
    [
        {"structured-outputs-config": {"backend": "outlines"}},
        {"structured-outputs-config": '{"backend": "lm-format-enforcer"}'},
        {"structured-outputs-config.backend": "outlines"},
    ],
)
def test_a_backend_whose_times_the_gateway_does_not_know_is_refused(args: dict[str, Any]) -> None:
    (said,) = engine_args.faults(args)
    assert said.startswith("structured-outputs-config: backend '") and "write one of auto, xgrammar, guidance" in said


@pytest.mark.parametrize("backend", ["auto", "xgrammar", "guidance"])
def test_a_backend_whose_times_the_gateway_knows_passes(backend: str) -> None:
    assert engine_args.faults({"structured-outputs-config.backend": backend}) == []
    assert engine_args.faults({"structured-outputs-config": {"disable_any_whitespace": True}}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max-num-seqs", "hf_S3CRETabcdefghijklmn"),
        ("dtype", "sk-S3CRETS3CRET"),
        ("cudagraph-capture-sizes", [1, "https://me:S3CRET@example.org"]),
    ],
)
def test_no_message_repeats_what_may_be_a_secret(name: str, value: Any) -> None:
    found = engine_args.faults({name: value})
    assert len(found) == 1 and "S3CRET" not in found[0] and "write" in found[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max-num-seqs", 8, ["--max-num-seqs", "8"]),
        ("enforce-eager", True, ["--enforce-eager"]),
        ("enable-prefix-caching", False, ["--no-enable-prefix-caching"]),
        ("lora-modules", ["a=/x", "b=/y"], ["--lora-modules", "a=/x", "b=/y"]),
        ("lora-modules", [{"name": "a", "path": "/x"}], ["--lora-modules", '{"name":"a","path":"/x"}']),
        ("lora-modules", "a=/x", ["--lora-modules", "a=/x"]),
        ("middleware", ["a", "b"], ["--middleware", "a", "--middleware", "b"]),
        ("cudagraph-capture-sizes", [1, 2], ["--cudagraph-capture-sizes", "1", "2"]),
        ("hf-overrides", {"a": [1]}, ["--hf-overrides", '{"a":[1]}']),
        ("allowed-origins", ["*"], ["--allowed-origins", '["*"]']),
        ("compilation-config.mode", 3, ["--compilation-config.mode", "3"]),
        ("compilation-config.pass_config", True, ["--compilation-config.pass_config", "true"]),
    ],
)
def test_words_are_what_the_parser_takes(name: str, value: Any, words: list[str]) -> None:
    assert engine_args.faults({name: value}) == []
    assert engine_args.words(name, value) == words


@pytest.mark.parametrize(
    ("value", "number"),
    [(8, 8), ("8", 8), ("16k", 16_000), ("16K", 16_384),
     ("1.5g", 1_500_000_000), ("2G", 2**31), ("1.5G", None), (0, None),
     ("0k", None), (-1, None), ("auto", None),
     (True, None), (4.0, None), ("٣", None), ("9" * 5000, None), (None, None)],
)  # fmt: skip
def test_a_size_is_read_as_vllm_reads_it(value: Any, number: int | None) -> None:
    assert engine_args.whole(value) == number


@given(st.dictionaries(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)))  # fmt: skip
def test_anything_is_answered_with_a_line(args: dict[str, Any]) -> None:
    for said in engine_args.faults(args):
        assert ": " in said


def test_the_plan_render_and_check_refuse_alike() -> None:
    data = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}
    with pytest.raises(UsageError) as refused:
        profile.parse(data | {"engine": {"args": {"no-such-flag": 1, "nnodes": 2}}}, "profiles/x.yaml")
    assert str(refused.value).splitlines() == [
        "profiles/x.yaml: engine.args.no-such-flag: vLLM 0.32.0 has no such flag",
        "profiles/x.yaml: engine.args.nnodes: use hardware.nodes, the machines that share one copy of the model, and "
        "remove this",
    ]
