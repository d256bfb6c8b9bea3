"""The five lines of the README that show several models: a profile that can be planned as it stands there."""

from __future__ import annotations

import re
import textwrap

import yaml

from fullbatch.planning import several, several_advice
from tests.fullbatch.checkout import REPOSITORY


def test_the_five_lines_of_the_readme_are_a_profile() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    block = textwrap.dedent(text.partition("Several models at once")[2].split("\n\n")[1])
    hardware = re.search(r"beside `hardware: (\{.*?\})`", block)
    assert hardware is not None
    shared = {"description": "d", "hardware": yaml.safe_load(hardware[1])}
    plan = several_advice.plan("x", several.parse(REPOSITORY, shared | yaml.safe_load(block), "README.md"))
    assert [one.engines[0].served_name for one in plan.parts] == ["Qwen/Qwen2.5-7B-Instruct-AWQ", "BAAI/bge-m3"]
    assert len(text.partition("Several models at once")[2].split("\n\n")[1].splitlines()) <= 5
    assert "when: on-demand" in block
