from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from fullbatch.top.figures import Figures, KeyFigures, ModelFigures, figures
from fullbatch.top.reading import Reading
from fullbatch.top.screen import bar, picture, sparkline
from fullbatch.top.sources import MetricsSource

SOURCE = MetricsSource("rtx4090-qwen2.5-7b", "compose", "http://127.0.0.1:8080", lambda: "", lambda: "")
UNKNOWN = figures(Reading(0), Reading(1))
KEYS = tuple(KeyFigures(f"a name that is quite long {n}", 8.0, 4.0, 1.26, 1234.5) for n in range(30))
MODELS = tuple(ModelFigures(f"Org/a-model-of-a-long-name-{n}", "asleep", 3.0, 17.0, 4.5) for n in range(16))
BUSY = replace(
    UNKNOWN,
    gateway_answers=True,
    engine_answers=True,
    running=38.0,
    slots=64.0,
    waiting_engine=2.0,
    waiting_gateway=5.0,
    kv_share=0.676,
    kv_tokens=105_000.0,
    ttft_p50_s=0.12,
    ttft_p95_s=2.34,
    tpot_s=0.02,
    output_tokens_per_s=1900.4,
    prompt_tokens_per_s=12_000.0,
    requests_per_s=3.25,
    failed_share=0.02,
    limit="step budget",
    keys=KEYS,
)
SEVERAL = replace(BUSY, models=(ModelFigures("tiny", "loading", 0.0, 2.0, 12.5), *MODELS))


def drawn(figures: Figures, width: int, height: int = 50, history: tuple[float, ...] = (1.0, 2.0, 3.0)) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(picture(SOURCE, figures, history, width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_numbers_stand_beside_what_they_are_out_of() -> None:
    text = drawn(BUSY, 100)
    for words in (
        "step budget", "2.0% fail", "38 of 64 slots", "71.0k of 105.0k tokens", "5 gateway, 2 engine",
        "120 ms", "2.34 s", "1,900 tok/s", "50.0 tok/s", "3.2 /s", "a name that is quite long 0",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("width", [30, 40, 63, 64, 80, 200])
@pytest.mark.parametrize("figures", [BUSY, UNKNOWN, SEVERAL], ids=["busy", "unknown", "several"])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_lost(width: int, figures: Figures) -> None:
    lines = drawn(figures, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("Waiting") for line in lines)
    if figures is BUSY and width >= 40:
        assert any("38 of 64 slots" in line for line in lines)
        assert any("1,900 tok/s" in line for line in lines)


@pytest.mark.parametrize("height", [16, 24, 40])
def test_it_fits_the_height(height: int) -> None:
    lines = drawn(BUSY, 100, height).splitlines()
    assert len(lines) <= height
    assert any("and 2" in line and "more" in line for line in lines), "30 keys are too many, and that is said"


def test_of_several_models_each_has_its_state() -> None:
    line = next(line for line in drawn(SEVERAL, 100).splitlines() if line.startswith("tiny"))
    assert line.split() == ["tiny", "loading", "0", "2", "12.50", "s"]


@pytest.mark.parametrize("height", [24, 40])
def test_models_and_keys_fit_the_height_together(height: int) -> None:
    assert len(drawn(SEVERAL, 100, height).splitlines()) <= height


def test_what_is_not_known_is_a_dash() -> None:
    text = drawn(UNKNOWN, 100, history=())
    assert "- of - slots" in text and "nothing answers" in text and "tok/s ▁" not in text
    assert "None" not in text and "nan" not in text


@pytest.mark.parametrize(("share", "drawn"), [(None, "░░░░"), (0.0, "░░░░"), (0.5, "██░░"), (1.7, "████")])
def test_a_bar_stays_in_its_frame(share: float | None, drawn: str) -> None:
    assert bar(share, 4) == drawn


def test_a_sparkline_shows_the_newest_and_survives_silence() -> None:
    assert sparkline([8, 0, 4, 8], 3) == " ▄█"
    assert sparkline([0, 0], 9) == "  "


def test_drafts_are_shown_where_there_are_any() -> None:
    assert "Drafts right" not in drawn(BUSY, 100)
    text = drawn(replace(BUSY, drafts_right_share=0.908, tokens_per_draft=4.41), 100)
    assert "Drafts right" in text and "91%" in text and "4.4 tok" in text
