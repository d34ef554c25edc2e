from __future__ import annotations

from tui.chat.context_window import bytes_per_token, counted_tokens, used_tokens, window
from tui.chat.conversation import Message


def talk(turns: int, size: int = 400) -> list[Message]:
    found = []
    for number in range(turns):
        found.append(Message("user", f"question {number} " + "x" * size))
        tokens = (number + 1) * (2 * size // 4 + 10)
        found.append(Message("assistant", "y" * size, usage={"prompt_tokens": tokens - 100, "completion_tokens": 100}))
    return [*found, Message("user", "the last question")]


def test_everything_is_sent_while_it_fits() -> None:
    messages = talk(3)
    assert window(messages, None).left_out == 0
    assert window(messages, 4096).messages == tuple(messages)


def test_the_oldest_turns_are_left_out_when_the_context_is_full() -> None:
    messages = talk(10)
    sent = window(messages, 1024)
    assert sent.left_out > 0 and sent.messages[0].role == "user"
    assert sent.messages[-1].content == "the last question"
    assert sent.tokens <= 1024 - 256
    assert len(sent.messages) + sent.left_out == len(messages)


def test_the_last_question_is_never_left_out() -> None:
    messages = [Message("user", "x" * 100_000)]
    assert window(messages, 512).messages == tuple(messages)


def test_what_was_counted_goes_before_what_is_estimated() -> None:
    messages = [
        Message("user", "a" * 400),
        Message("assistant", "b" * 400, usage={"prompt_tokens": 300, "completion_tokens": 200}),
    ]
    assert counted_tokens(messages) == 500
    assert used_tokens([*messages, Message("user", "c" * 160)]) - 500 in range(80, 120), "at the measured rate"
    assert 1.5 < bytes_per_token(messages) < 1.8


def test_counts_of_a_cut_conversation_or_of_an_estimate_are_not_trusted() -> None:
    cut = Message("assistant", "x", usage={"prompt_tokens": 9, "completion_tokens": 1}, facts={"left_out": 2})
    guess = Message("assistant", "x", usage={"prompt_tokens": 9, "completion_tokens": 1, "estimated": True})
    assert counted_tokens([cut]) is None and counted_tokens([guess]) is None
