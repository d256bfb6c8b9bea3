from __future__ import annotations

from fullbatch.cli import describe
from fullbatch.planning import plan, profile
from fullbatch.rendering import files, profiles_page
from tests.fullbatch.checkout import REPOSITORY

NAMES = ["cpu", "rtx4090-qwen2.5-7b", "rtx4090-qwen3.6-27b-int4", "h100-llama3.1-8b"]
PROFILES = {name: profile.load(REPOSITORY, name) for name in NAMES}


def test_the_page_has_a_row_of_numbers_for_each_profile_under_its_card() -> None:
    plans = {name: (asked, plan.make(name, asked)) for name, asked in PROFILES.items()}
    page = profiles_page.text(plans)
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["The processor", "GeForce RTX 4090", "H100 80 GB"]
    (row,) = [line for line in page.splitlines() if "[rtx4090-qwen3.6-27b-int4]" in line]
    assert "| Intel/Qwen3.6-27B-int4-AutoRound | 4 | 8 | 16,384 |" in row
    assert "`language-model-only`" in row
    assert "max-num-seqs" not in page


def test_the_list_is_by_card() -> None:
    said = describe.profiles(PROFILES.items())
    assert said.index("the processor") < said.index("GeForce RTX 4090") < said.index("  rtx4090-qwen2.5-7b")
    assert said.index("  rtx4090-qwen3.6-27b-int4") < said.index("H100 80 GB")


def test_the_page_is_written_with_all_profiles_and_not_with_some() -> None:
    assert files.PAGE not in files.wanted(REPOSITORY, NAMES)
