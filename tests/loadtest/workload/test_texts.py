"""Made-up texts."""

from __future__ import annotations

import pytest

from loadtest.workload.texts import RunTexts


@pytest.mark.parametrize("words", [2, 3, 100])
def test_a_text_has_so_many_words_and_is_the_same_again(words: int) -> None:
    run = RunTexts("one")
    assert len(run.text("a", words).split()) == words
    assert run.text("a", words) == RunTexts("one").text("a", words)


def test_the_first_word_is_of_its_label_side_and_run() -> None:
    runs = [RunTexts("one"), RunTexts("two"), RunTexts("one", "side")]
    words = [run.first_word(label) for run in runs for label in "abc"]
    assert len(set(words)) == 9 and {len(word) for word in words} == {12}
    assert RunTexts("one").text("a", 9).startswith(RunTexts("one").first_word("a"))


def test_chance_is_the_same_on_every_side_and_another_in_every_run() -> None:
    one, side, other = (run.chance("a").random() for run in (RunTexts("n"), RunTexts("n", "s"), RunTexts("m")))
    assert one == side != other
