"""Leading blocks of prompts, and who has had them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines import prefix_affinity
from gateway.engines.prefix_affinity import ENDS, PrefixMemory, blocks

TEXT = st.text(max_size=3000)
SYSTEM = "You are a careful assistant. " * 60
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def chat(*turns: str) -> dict[str, Any]:
    roles = ("system", "user", "assistant")
    return {"messages": [{"role": roles[index % 3], "content": turn} for index, turn in enumerate(turns)]}


def shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


@given(prefix=TEXT, one=TEXT, other=TEXT)
def test_p85_prompts_share_exactly_their_leading_blocks(prefix: str, one: str, other: str) -> None:
    texts = [(prefix + rest).encode() for rest in (one, other)]
    same = 0
    while same < min(map(len, texts)) and texts[0][same] == texts[1][same]:
        same += 1
    found = shared(*(blocks({"prompt": text.decode()}, "m") for text in texts))
    assert found == sum(end <= same for end in ENDS[1:])


def test_p85_a_conversation_that_goes_on_keeps_its_blocks() -> None:
    first = blocks(chat(SYSTEM, "How does paging work? " * 40), "m")
    second = blocks(chat(SYSTEM, "How does paging work? " * 40, "In blocks. " * 60, "And then? " * 60), "m")
    assert len(second) > len(first) >= 4
    assert second[: len(first)] == first


def test_p85_another_model_shares_nothing() -> None:
    assert not set(blocks(chat(SYSTEM), "m")) & set(blocks(chat(SYSTEM), "n"))


def test_p85_the_same_text_in_all_shapes_of_the_apis_is_read() -> None:
    parts = [{"type": "text", "text": SYSTEM}]
    for content in (
        {"messages": [{"role": "user", "content": parts}]},
        {"system": parts, "messages": []},
        {"instructions": SYSTEM, "input": "?"},
        {"input": [{"role": "user", "content": SYSTEM}]},
        {"prompt": [SYSTEM]},
    ):
        assert len(blocks(content, "m")) == len(SYSTEM) // 512


@given(content=st.dictionaries(st.sampled_from(["messages", "prompt", "input", "system", "instructions"]), ANY_JSON))
def test_p85_no_shape_is_refused_here(content: dict[str, Any]) -> None:
    assert isinstance(blocks(content, "m", b"s"), tuple)


def test_p85_a_long_prompt_has_few_blocks() -> None:
    assert len(blocks({"prompt": "x" * 10_000_000}, "m")) == len(ENDS) - 1 <= 80
    assert blocks({"prompt": "x" * 511}, "m") == ()


def test_p85_a_session_is_a_key_of_its_own_for_each_client() -> None:
    one = blocks({"prompt": "hi"}, "m", b"1", "anna")
    assert len(one) == 1
    assert one == blocks({"prompt": "something else"}, "m", b"1", "anna")
    assert one != blocks({"prompt": "hi"}, "m", b"1", "ben")


def test_p85_the_longest_known_beginning_counts() -> None:
    memory = PrefixMemory(100)
    system, whole = blocks(chat(SYSTEM), "m"), blocks(chat(SYSTEM, "question " * 200), "m")
    memory.remember(system, 0b01)
    memory.remember(whole, 0b10)
    assert memory.find(whole, 0b11) == (0b10, ENDS[len(whole)])
    assert memory.find(system, 0b11) == (0b11, ENDS[len(system)])
    assert memory.find(whole, 0b01) == (0b01, ENDS[len(system)])
    assert memory.find(blocks(chat("else " * 200), "m"), 0b11) == (0, 0)


def test_p85_a_session_that_is_known_is_the_whole_prompt() -> None:
    memory = PrefixMemory(100)
    memory.remember(blocks({}, "m", b"s"), 0b1)
    assert memory.find(blocks(chat(SYSTEM), "m", b"s"), 0b1) == (0b1, None)


def test_p85_an_engine_that_was_started_anew_is_forgotten() -> None:
    memory = PrefixMemory(100)
    found = blocks(chat(SYSTEM), "m")
    memory.remember(found, 0b01)
    memory.remember(found, 0b10)
    memory.forget(0b01)
    assert memory.find(found, 0b11)[0] == 0b10
    memory.forget(0b10)
    assert len(memory) == 0


@given(size=st.integers(1, 50), prompts=st.lists(st.integers(0, 30), max_size=60))
def test_p85_the_memory_is_bounded_and_keeps_the_newest(size: int, prompts: list[int]) -> None:
    memory = PrefixMemory(size)
    for number in prompts:
        memory.remember((number,), 1)
        assert len(memory) <= size
        assert memory.find((number,), 1)[0] == 1


def test_results_are_counted_from_the_start() -> None:
    assert dict(PrefixMemory(1).results) == dict.fromkeys(prefix_affinity.RESULTS, 0)
