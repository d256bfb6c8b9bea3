from fullbatch.chat.conversation import ChatHistory


def test_what_was_said_goes_with_the_next_question() -> None:
    conversation = ChatHistory("Be brief.")
    conversation.keep("first?", "one")
    conversation.keep("nothing came of it", "")
    assert [(one["role"], one["content"]) for one in conversation.messages("second?")] == [
        ("system", "Be brief."), ("user", "first?"), ("assistant", "one"), ("user", "second?"),
    ]  # fmt: skip


def test_the_system_prompt_outlives_what_is_forgotten() -> None:
    conversation = ChatHistory("Be brief.")
    conversation.keep("a", "b")
    conversation.clear()
    assert [one["role"] for one in conversation.messages("c")] == ["system", "user"]
    assert [one["role"] for one in ChatHistory().messages("c")] == ["user"]


def test_the_last_question_can_be_taken_back() -> None:
    conversation = ChatHistory()
    assert conversation.take_back() is None
    conversation.keep("a", "b")
    conversation.keep("c", "d")
    assert (conversation.take_back(), conversation.turns) == ("c", [("a", "b")])
