"""Conversations that are made up."""

from __future__ import annotations

from os.path import commonprefix

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.client.preflight import line_through
from loadtest.workload.schema import RequestKind
from loadtest.workload.source import Conversation, Lengths, Place
from loadtest.workload.synthetic import Synthetic, plain, spread
from loadtest.workload.texts import RunTexts

RUN = RunTexts("one")
ONE = plain(100, 64)
[SHORT] = ONE.request_kinds
RAG = RequestKind(name="rag", system_tokens=50, document_tokens=200, documents=3, prompt_tokens=20, output_tokens=8)


def of(*kinds: RequestKind) -> Synthetic:
    return Synthetic("mine", "for a test", kinds)


def prompt(source: Synthetic, number: int, index: int = 0, run: RunTexts = RUN) -> str:
    return source.conversation(Place("1", number, 50, index), run).turn(1).messages[-1]["content"]


def test_no_two_prompts_share_a_beginning() -> None:
    prompts = [prompt(ONE, user, index) for user in range(50) for index in range(4)]
    assert len({prompt[:8] for prompt in prompts}) == 200
    assert len(commonprefix(prompts[:2])) < 8


def test_another_run_has_other_prompts_and_the_same_run_the_same() -> None:
    assert prompt(ONE, 1) != prompt(ONE, 1, run=RunTexts("two"))
    assert prompt(ONE, 1) == prompt(ONE, 1)
    assert len(prompt(ONE, 1).split()) == 100


def test_sides_get_the_same_words_but_none_finds_the_others_in_a_cache() -> None:
    left, right = (prompt(ONE, 1, run=RunTexts("one", salt)).split() for salt in ("a", "b"))
    assert left[1:] == right[1:]
    assert left[0][:4] != right[0][:4]


def test_what_is_shared_on_purpose_is_the_same_for_everybody() -> None:
    opened = [of(RAG).conversation(Place("1", number), RUN).turn(1).messages for number in range(60)]
    assert {first["role"] for first, _ in opened} == {"system"} and len({first["content"] for first, _ in opened}) == 1
    documents, questions = zip(*(second["content"].split("\n\n") for _, second in opened), strict=True)
    assert len(set(documents)) == 3 and {len(document.split()) for document in documents} == {200}
    assert len(set(questions)) == 60 and {len(question.split()) for question in questions} == {20}


def test_a_conversation_goes_on_with_new_words_and_has_what_its_kind_says() -> None:
    kind = SHORT.model_copy(update={"turns": 3, "think_s": 0.5, "key": 2, "exact_length": False})
    made = of(kind).conversation(Place("1", 0), RUN)
    assert (made.kind, made.turns, made.key, made.think_s) == ("plain", 3, 2, 0.5)
    texts = [made.turn(number).messages[-1]["content"] for number in (1, 2, 3)]
    assert len(set(texts)) == 3 and len(commonprefix(texts)) < 8
    assert (made.turn(2).output_tokens, made.turn(2).exact) == (64, False)
    assert of(kind).lengths == Lengths(100, 64, exact=False) and of(kind).keys == 2


@given(st.integers(1, 8), st.integers(0, 60), st.integers(100, 4000))
def test_the_number_of_words_follows_the_tokenizer(per_word: int, overhead: int, target: int) -> None:
    source = ONE.calibrated(
        *line_through((8, 8 * per_word + overhead), (40, 40 * per_word + overhead)),
    )
    words = source.words(target - source.overhead_tokens)
    assert abs(words * per_word + overhead - target) <= max(per_word, 2 * per_word + overhead - target)


@pytest.mark.parametrize(("weights", "counts"), [((3, 1), {4: (3, 1), 12: (9, 3), 5: (4, 1)}), ((1, 1), {3: (2, 1)})])
def test_kinds_come_in_proportion_at_every_length(weights: tuple[int, int], counts: dict[int, tuple[int, int]]) -> None:
    kinds = tuple(
        SHORT.model_copy(update={"name": name, "weight": weight}) for name, weight in zip("ab", weights, strict=True)
    )
    for count, (first, second) in counts.items():
        names = [kind.name for kind in spread(kinds, count)]
        assert (names.count("a"), names.count("b")) == (first, second)


def test_a_user_keeps_its_kind_and_arrivals_draw_theirs_by_weight_alike_on_every_side() -> None:
    source = of(*(SHORT.model_copy(update={"name": name, "weight": weight}) for name, weight in (("a", 3), ("b", 1))))

    def kinds(places: list[Place], salt: str = "") -> list[str]:
        made: list[Conversation] = [source.conversation(place, RunTexts("one", salt)) for place in places]
        return [each.kind for each in made]

    assert len({kind for index in range(9) for kind in kinds([Place("1", 2, 8, index)])}) == 1
    assert sorted(kinds([Place("1", number, 8) for number in range(8)])) == ["a"] * 6 + ["b"] * 2
    arrivals = [Place("1", number) for number in range(2000)]
    drawn = kinds(arrivals)
    assert 0.7 < drawn.count("a") / 2000 < 0.8 and drawn == kinds(arrivals, "other side")


def test_the_report_has_its_kinds_and_how_many_words_they_are_here() -> None:
    told = of(RAG).calibrated(2.0, 4.0).describe()
    assert (told["source"], told["prompt_words"], told["kinds"][0]["documents"]) == ("synthetic", {"rag": 8}, 3)
