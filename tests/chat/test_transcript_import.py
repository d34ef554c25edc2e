from __future__ import annotations

import pytest

from tui.chat.transcript_import import read_document
from tui.errors import UsageError


def test_any_list_of_the_protocols_messages_is_read() -> None:
    read = read_document(
        '[{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "Q"}]}]'
    )
    assert read.facts["system"] == "S" and read.title == "Q"
    assert [(m.role, m.content) for m in read.messages] == [("user", "Q")]


def test_control_characters_and_strange_parameters_do_not_come_in() -> None:
    read = read_document(
        '{"messages": [{"role": "user", "content": "a\\u001b[31m"}], "parameters": {"temperature": "hot"}}'
    )
    assert "\x1b" not in read.messages[0].content
    assert read.parameters.temperature is None


@pytest.mark.parametrize(
    "text",
    ["nonsense", "{}", '{"messages": []}', '{"messages": [{"role": "tool", "content": "x"}]}', '[{"role": "user"}]'],
)
def test_what_is_no_conversation_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_document(text)
