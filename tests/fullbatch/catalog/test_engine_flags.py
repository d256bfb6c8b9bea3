"""Every flag of the pinned engine is recorded and has one meaning; whether the record is current is asked of vLLM in
tests/fullbatch/rendering/test_engine_parser.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from fullbatch import catalog
from fullbatch.catalog import engine_flags
from tests.fullbatch.checkout import REPOSITORY

FOLDER = REPOSITORY / "fullbatch" / "catalog"


def _listed() -> list[str]:
    data = yaml.safe_load((FOLDER / "memory_flags.yaml").read_text(encoding="utf-8"))
    return [name for kind in engine_flags.KINDS for group in data[kind] for name in group["flags"]]


def test_the_record_is_of_the_pinned_engine() -> None:
    assert engine_flags.recorded_version() == catalog.engine().version
    assert len(engine_flags.taken()) > 250


def test_every_flag_is_in_exactly_one_class() -> None:
    twice = [name for name, number in Counter(_listed()).items() if number > 1]
    assert not twice
    assert set(_listed()) == set(engine_flags.taken())


def test_every_class_says_why_and_whence() -> None:
    for name, meaning in engine_flags.meanings().items():
        assert len(meaning.says) > 10, name
        # A file that is there, or one of vLLM's.
        first = meaning.source.split(",")[0].split(":")[0].split(" ")[0]
        assert first.startswith("vllm/") or (REPOSITORY / first).exists(), meaning.source


@pytest.mark.engine
def test_sources_of_vllm_exist() -> None:
    installed = list((REPOSITORY / ".fullbatch" / "engine" / "lib").glob("python*/site-packages/vllm"))
    sources = {
        source for one in engine_flags.meanings().values() for source in one.source.split(", ") if "vllm/" in source
    }
    missing = [one for one in sources if not (installed[0].parent / Path(one.split(":")[0].split(" ")[0])).exists()]
    assert not missing


def test_flags_that_are_gone_are_not_recorded() -> None:
    assert not set(catalog.flags()["gone"]) & set(engine_flags.taken())


def test_what_a_recorded_flag_takes_is_known() -> None:
    kinds = {taken.takes for taken in engine_flags.taken().values()}
    assert kinds == {"switch", "mark", "integer", "number", "size", "json", "text"}
    assert {taken.several for taken in engine_flags.taken().values()} == {"", "words", "repeated"}
    assert engine_flags.taken()["kv-cache-dtype"].choices[:2] == ("auto", "bfloat16")


def test_methods_of_quantisation_are_named_once() -> None:
    assert not set(engine_flags.online_precisions()) & engine_flags.checkpoint_methods()
    assert set(engine_flags.online_precisions().values()) <= {"fp8"}
