"""Between rows of the file of conversations and the frozen shapes that leave it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tui.chat.conversation import Conversation, Message, MessageState, Parameters


def insert_message(
    connection: sqlite3.Connection, conversation_id: int, message: Message, now: float, writer: str = ""
) -> int:
    """Append ``message`` to the branch that is shown, in the open transaction; returns its id."""
    row = connection.execute(
        "INSERT INTO message (conversation, role, content, thinking, state, finish_reason, usage, time_to_first_token,"
        " tokens_per_second, problem, writer, created, facts, parent)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT leaf FROM conversation WHERE id = ?))",
        (
            conversation_id,
            message.role,
            message.content,
            message.thinking,
            message.state.value,
            message.finish_reason,
            json_text(message.usage),
            message.time_to_first_token,
            message.tokens_per_second,
            message.problem,
            writer,
            message.created.timestamp() if message.created else now,
            json_text(message.facts),
            conversation_id,
        ),
    )
    message_id = int(row.lastrowid or 0)
    connection.execute("UPDATE conversation SET leaf = ? WHERE id = ?", (message_id, conversation_id))
    return message_id


def conversation_of(row: sqlite3.Row, messages: tuple[Message, ...]) -> Conversation:
    """The conversation in ``row``, with ``messages``."""
    return Conversation(
        id=row["id"],
        title=row["title"],
        endpoint=row["endpoint"],
        messages=messages,
        parameters=Parameters.from_chosen(json.loads(row["parameters"])),
        created=_moment(row["created"]),
        updated=_moment(row["updated"]),
        facts=json.loads(row["facts"]),
        forked_from=row["forked_from"],
        message_count=len(messages) or (row["message_count"] if "message_count" in row.keys() else 0),  # noqa: SIM118
    )


def message_of(row: sqlite3.Row, versions: tuple[int, ...] = ()) -> Message:
    """The message in ``row``, which stands beside ``versions``."""
    return Message(
        role=row["role"],
        content=row["content"],
        thinking=row["thinking"],
        id=row["id"],
        state=MessageState(row["state"]),
        finish_reason=row["finish_reason"],
        usage=json.loads(row["usage"]),
        time_to_first_token=row["time_to_first_token"],
        tokens_per_second=row["tokens_per_second"],
        problem=row["problem"],
        created=_moment(row["created"]),
        facts=json.loads(row["facts"]),
        versions=versions or (row["id"],),
    )


def message_text(content: str, facts: str) -> str:
    """What a person typed of a message: without the files that were attached."""
    typed = json.loads(facts).get("text")
    return typed if isinstance(typed, str) else content


def json_text(value: Mapping[str, Any]) -> str:
    """``value`` as the compact JSON that a column holds."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
