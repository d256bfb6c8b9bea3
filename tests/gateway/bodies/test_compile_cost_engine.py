"""The estimate against vLLM's own compiler: what is just let through, on every shape that costs time."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from gateway.bodies.compile_cost import CompileCost
from tests.gateway.harness import ROOT

PYTHON = ROOT / ".fullbatch/engine/bin/python"
# With a vocabulary of 131,072 tokens that comes with mistral-common; prints the seconds of all cores together.
COMPILE = """
import base64, json, pathlib, resource, sys
import mistral_common, xgrammar
job = json.load(sys.stdin)
path = pathlib.Path(mistral_common.__file__).parent / "data/tekken_240911.json"
words = [base64.b64decode(word["token_bytes"]) for word in json.loads(path.read_text())["vocab"]][:130072]
kind = xgrammar.VocabType.RAW
info = xgrammar.TokenizerInfo(words, vocab_type=kind, vocab_size=len(words), stop_token_ids=[2])
compiler = xgrammar.GrammarCompiler(info, max_threads=8)
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
began = cpu()
if job["kind"] == "schema":
    compiler.compile_json_schema(json.dumps(job["spec"]), any_whitespace=True)
elif job["kind"] == "regex":
    compiler.compile_regex(job["spec"])
else:
    compiler.compile_grammar(job["spec"])
print(cpu() - began)
"""
# What vLLM does with a request whose backend is `auto`: prints the backend of each.
CHOOSE = """
import json, sys, types
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from vllm.config.structured_outputs import StructuredOutputsConfig
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
words = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>")
chosen = {}
for name, spec in json.load(sys.stdin).items():
    params = SamplingParams(structured_outputs=StructuredOutputsParams(**spec))
    model = types.SimpleNamespace(is_diffusion=False)
    params._validate_structured_outputs(model, StructuredOutputsConfig(), tokenizer)
    chosen[name] = params.structured_outputs._backend
print(json.dumps(chosen))
"""
# An eighth of what depends on the vocabulary counts, so that much more may it be on one core.
ALLOWED_CPU_S = 16
TEXT = {"type": "string"}
RANDOM = random.Random(1)


def letters(count: int) -> str:
    return "".join(RANDOM.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count))


def made(count: int, schema: Any = TEXT, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{index}": schema for index in range(count)}, **more}


SHAPES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "optional properties": ("schema", made),
    "objects in anyOf": ("schema", lambda n: {"anyOf": [made(n), made(n), made(n)]}),
    "minProperties": ("schema", lambda n: made(n, minProperties=1)),
    "one enum": ("schema", lambda n: {"enum": [letters(30) for _ in range(n)]}),
    "enums": ("schema", lambda n: {"prefixItems": [{"enum": [letters(6) for _ in range(10)]} for _ in range(n)]}),
    "formats": ("schema", lambda n: made(n, {"type": "string", "format": "email"})),
    "lengths": ("schema", lambda n: {"anyOf": [{"type": "string", "maxLength": 300 + i} for i in range(n)]}),
    "optional parts": ("regex", lambda n: "".join(f"({letters(1)}[a-z])?" for _ in range(n))),
    "wide classes": ("regex", lambda n: "[^a]" * n),
    "a grammar's optional parts": ("grammar", lambda n: "root ::= " + '("a" [a-z])? ' * n),
}


def seconds(kind: str, spec: Any) -> float:
    cost = CompileCost()
    {"schema": cost.schema, "regex": cost.regex, "grammar": cost.grammar}[kind](spec)
    return cost.seconds


def largest(kind: str, make: Callable[[int], Any]) -> Any:
    """What is just let through, within a tenth."""
    size = 1
    while seconds(kind, make(size + max(1, size // 10))) <= 1:
        size += max(1, size // 10)
    return make(size)


@pytest.mark.engine
@pytest.mark.parametrize("name", SHAPES)
def test_p120_what_is_let_through_compiles_in_seconds(name: str) -> None:
    kind, make = SHAPES[name]
    job = json.dumps({"kind": kind, "spec": largest(kind, make)})
    done = subprocess.run([PYTHON, "-c", COMPILE], input=job, capture_output=True, text=True, timeout=240, check=True)
    assert float(done.stdout.split()[-1]) < ALLOWED_CPU_S


BY_PATTERN = {"patternProperties": {"^a": TEXT}}
CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "properties": ("xgrammar", {"json": made(1)}),
    "patternProperties": ("xgrammar", {"json": {"type": "object", **BY_PATTERN}}),
    "minItems": ("xgrammar", {"json": {"type": "array", "items": TEXT, "minItems": 1000}}),
    "a pattern": ("xgrammar", {"regex": "[a-z]{1,100}"}),
    "texts": ("xgrammar", {"choice": ["a", "b"]}),
    "EBNF": ("xgrammar", {"grammar": 'root ::= "a"'}),
    "Lark": ("xgrammar", {"grammar": 'start: "a"'}),
    "multipleOf": ("guidance", {"json": {"type": "integer", "multipleOf": 3}}),
    "a pattern and a length": ("guidance", {"json": {"type": "string", "pattern": "^a", "maxLength": 3}}),
    "allOf": ("guidance", {"json": {"allOf": [made(1), made(1)]}}),
    "patternProperties beside properties": ("outlines", {"json": made(1, **BY_PATTERN)}),
}


@pytest.mark.engine
def test_p120_the_backend_that_vllm_chooses_is_the_one_that_is_reckoned_with() -> None:
    asked = {name: spec for name, (_, spec) in CHOICES.items()}
    done = subprocess.run(
        [PYTHON, "-c", CHOOSE], input=json.dumps(asked), capture_output=True, text=True, timeout=240, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {name: backend for name, (backend, _) in CHOICES.items()}


@pytest.mark.parametrize("name", [name for name, (backend, _) in CHOICES.items() if backend == "outlines"])
def test_p120_what_falls_back_to_outlines_costs_more_than_the_same_for_xgrammar(name: str) -> None:
    schema = CHOICES[name][1]["json"]
    assert seconds("schema", schema) > 10 * seconds("schema", made(1))
