"""A conversation as a tree of messages of which one branch is shown.

An edited question and another answer stand beside what they replace; nothing is overwritten. A removed message is only
skipped, so that it can come back. ``leaf`` of a conversation is the last message of the branch that is shown.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

from tui.chat.conversation import Message
from tui.chat.transcript_rows import message_of
from tui.errors import NotFoundError
from tui.sqlite_file import RecordsFile


def branch(rows: Iterable[sqlite3.Row], leaf: int | None) -> tuple[Message, ...]:
    """The messages from the root to ``leaf``, each with the versions that stand beside it."""
    by_id = {row["id"]: row for row in rows}
    beside: dict[tuple[int | None, str], list[int]] = {}
    for row in by_id.values():
        if row["removed"] is None:
            beside.setdefault((row["parent"], row["role"]), []).append(row["id"])
    found: list[Message] = []
    at = leaf
    while at in by_id:
        row = by_id[at]
        if row["removed"] is None:
            found.append(message_of(row, tuple(sorted(beside[(row["parent"], row["role"])]))))
        at = row["parent"]
    return tuple(reversed(found))


class Branches(RecordsFile):
    """What can be done to the tree of one conversation."""

    def branch_before(self, conversation_id: int, message_id: int) -> None:
        """What is added next stands beside ``message_id``: another answer, or the question asked otherwise."""
        row = self._message_row(conversation_id, message_id)
        self._show(conversation_id, row["parent"])

    def show_version(self, conversation_id: int, message_id: int) -> None:
        """Show the branch through ``message_id``, as far as it was last gone."""
        self._message_row(conversation_id, message_id)
        self._show(conversation_id, self._furthest(conversation_id, message_id))

    def remove_one(self, conversation_id: int, message_id: int) -> None:
        """Take one message out; what followed it stays. ``restore_one`` brings it back. Where another version stands
        beside it and nothing follows, that one is shown."""
        row = self._message_row(conversation_id, message_id)
        with self._writing() as connection:
            connection.execute("UPDATE message SET removed = ? WHERE id = ?", (time.time(), message_id))
        rows = self._rows("SELECT * FROM message WHERE conversation = ? ORDER BY id", (conversation_id,))
        follows = any(other["parent"] == message_id and other["removed"] is None for other in rows)
        beside = [
            other["id"]
            for other in rows
            if (other["parent"], other["role"]) == (row["parent"], row["role"]) and other["removed"] is None
        ]
        if beside and not follows:
            self._show(conversation_id, self._furthest(conversation_id, beside[-1]))

    def restore_one(self, conversation_id: int, message_id: int) -> None:
        """Bring a removed message back and show its branch."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE message SET removed = NULL WHERE id = ? AND conversation = ?", (message_id, conversation_id)
            )
        self.show_version(conversation_id, message_id)

    def ask_stop(self, message_id: int) -> None:
        """Ask whichever process writes the answer ``message_id`` to stop it; it looks within a second."""
        with self._writing() as connection:
            connection.execute("UPDATE message SET stop_asked = 1 WHERE id = ? AND state = 'streaming'", (message_id,))

    def _message_row(self, conversation_id: int, message_id: int) -> sqlite3.Row:
        rows = self._rows("SELECT * FROM message WHERE id = ? AND conversation = ?", (message_id, conversation_id))
        if not rows:
            raise NotFoundError(f"conversation {conversation_id} has no message {message_id}")
        return rows[0]

    def _furthest(self, conversation_id: int, message_id: int) -> int:
        """The newest message that can be reached from ``message_id``."""
        rows = self._rows(
            "WITH RECURSIVE after(id) AS (SELECT ? UNION SELECT message.id FROM message JOIN after"
            " ON message.parent = after.id WHERE message.conversation = ?) SELECT max(id) AS leaf FROM after",
            (message_id, conversation_id),
        )
        return int(rows[0]["leaf"])

    def _show(self, conversation_id: int, leaf: int | None) -> None:
        with self._writing() as connection:
            connection.execute(
                "UPDATE conversation SET leaf = ?, updated = ? WHERE id = ?", (leaf, time.time(), conversation_id)
            )
