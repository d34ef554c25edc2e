"""The conversations on this disk. An answer is written while it streams, so a lost terminal costs under a second of it.

One SQLite file, mode 0600. Deleting only hides for a week, so it can be undone. Search finds any part of a word, in any
script; it looks through a plain scan, which for one person's chats costs milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.chat.answer_writer import AnswerWriter, process_lives, this_process
from tui.chat.conversation import Conversation, Message, MessageState, Parameters
from tui.chat.transcript_branches import Branches, branch
from tui.chat.transcript_export import export_json, export_markdown
from tui.chat.transcript_import import read_document
from tui.chat.transcript_rows import conversation_of, insert_message, json_text, message_of, message_text
from tui.chat.transcript_schema import MIGRATIONS
from tui.errors import NotFoundError
from tui.sqlite_file import Kind

UNDO_SECONDS = 7 * 86400.0
"""How long a deleted conversation can be restored."""


@dataclass(frozen=True, slots=True)
class Found:
    """One message that holds the text which was searched for; ``excerpt`` is one line around it."""

    conversation: Conversation
    message: Message
    excerpt: str


class TranscriptStore(Branches):
    """Conversations and their messages; usable from several threads and by several processes at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Kind("conversation", "conversations", MIGRATIONS))
        self.settle_abandoned()

    def conversations(self, limit: int | None = None) -> list[Conversation]:
        """All that are not deleted, newest change first, without their messages."""
        rows = self._rows(
            "SELECT *, (SELECT count(*) FROM message WHERE conversation = conversation.id AND removed IS NULL)"
            " AS message_count"
            " FROM conversation WHERE deleted IS NULL ORDER BY updated DESC, id DESC LIMIT ?",
            (-1 if limit is None else limit,),
        )
        return [conversation_of(row, ()) for row in rows]

    def conversation(self, conversation_id: int) -> Conversation:
        """One conversation with its messages; raises ``NotFoundError``."""
        with self._lock:
            rows = self._rows("SELECT * FROM conversation WHERE id = ? AND deleted IS NULL", (conversation_id,))
            if not rows:
                raise NotFoundError(f"there is no conversation {conversation_id}", "heft lists them in the chat pane")
            messages = self._rows("SELECT * FROM message WHERE conversation = ? ORDER BY id", (conversation_id,))
        return conversation_of(rows[0], branch(messages, rows[0]["leaf"]))

    def start(
        self,
        endpoint: str,
        parameters: Parameters | None = None,
        title: str = "",
        facts: Mapping[str, Any] | None = None,
        messages: Sequence[Message] = (),
    ) -> Conversation:
        """Begin a conversation; ``facts`` tell what answers (model, build, revision, recipe, versions)."""
        now = time.time()
        with self._writing() as connection:
            row = connection.execute(
                "INSERT INTO conversation (title, endpoint, parameters, facts, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (title, endpoint, json_text((parameters or Parameters()).chosen()), json_text(facts or {}), now, now),
            )
            conversation_id = int(row.lastrowid or 0)
            for message in messages:
                insert_message(connection, conversation_id, message, now)
        return self.conversation(conversation_id)

    def add(self, conversation_id: int, message: Message) -> Message:
        """Append a whole message; the first question of an untitled conversation becomes its title."""
        now = time.time()
        with self._writing() as connection:
            message_id = insert_message(connection, conversation_id, message, now)
            title = " ".join(message.content.split())[:80] if message.role == "user" else ""
            connection.execute(
                "UPDATE conversation SET updated = ?, title = CASE WHEN title = '' THEN ? ELSE title END WHERE id = ?",
                (now, title, conversation_id),
            )
        return message_of(self._rows("SELECT * FROM message WHERE id = ?", (message_id,))[0])

    def answer(
        self,
        conversation_id: int,
        facts: Mapping[str, Any] | None = None,
        stop: threading.Event | None = None,
    ) -> AnswerWriter:
        """Append an answer that is about to stream; ``facts`` tell what makes it. ``stop`` is set when another process
        asks for its end."""
        now = time.time()
        with self._writing() as connection:
            empty = Message("assistant", "", state=MessageState.STREAMING, facts=facts or {})
            message_id = insert_message(connection, conversation_id, empty, now, writer=this_process())
        return AnswerWriter(self, conversation_id, message_id, stop=stop)

    def continue_answer(
        self, conversation_id: int, message: Message, stop: threading.Event | None = None
    ) -> AnswerWriter:
        """Let the kept answer ``message`` grow further."""
        self.write_answer(message.id, {"state": MessageState.STREAMING.value, "writer": this_process(), "problem": ""})
        return AnswerWriter(self, conversation_id, message.id, stop=stop, begun=message)

    def write_answer(self, message_id: int, changes: Mapping[str, Any]) -> bool:
        """Change columns of a message; ``AnswerWriter`` calls this. True when somebody asked for its end."""
        columns = ", ".join(f"{name} = ?" for name in changes)
        with self._writing() as connection:
            connection.execute(f"UPDATE message SET {columns} WHERE id = ?", (*changes.values(), message_id))
            connection.execute(
                "UPDATE conversation SET updated = ? WHERE id = (SELECT conversation FROM message WHERE id = ?)",
                (time.time(), message_id),
            )
            asked = connection.execute("SELECT stop_asked FROM message WHERE id = ?", (message_id,)).fetchone()
        return bool(asked and asked["stop_asked"])

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation another title."""
        self._change(conversation_id, "title = ?", " ".join(title.split()))

    def set_parameters(self, conversation_id: int, parameters: Parameters) -> None:
        """Keep other parameters for the answers to come."""
        self._change(conversation_id, "parameters = ?", json_text(parameters.chosen()))

    def set_endpoint(self, conversation_id: int, endpoint: str, facts: Mapping[str, Any]) -> None:
        """From now on somebody else answers."""
        self._change(conversation_id, "endpoint = ?, facts = ?", endpoint, json_text(facts))

    def delete(self, conversation_id: int) -> None:
        """Hide a conversation; ``restore`` brings it back within ``UNDO_SECONDS``."""
        self._change(conversation_id, "deleted = ?", time.time())

    def restore(self, conversation_id: int) -> Conversation:
        """Bring a deleted conversation back; raises ``NotFoundError`` when it is gone."""
        with self._writing() as connection:
            connection.execute("UPDATE conversation SET deleted = NULL WHERE id = ?", (conversation_id,))
        return self.conversation(conversation_id)

    def fork(self, conversation_id: int, upto: int | None = None, title: str = "") -> Conversation:
        """A copy that goes its own way, with the messages up to and with id ``upto`` (all when None)."""
        source = self.conversation(conversation_id)
        kept = [message for message in source.messages if upto is None or message.id <= upto]
        kept = [message for message in kept if message.state is not MessageState.STREAMING]
        name = title or f"{source.title} (fork)"
        copy = self.start(source.endpoint, source.parameters, name, source.facts, kept)
        with self._writing() as connection:
            connection.execute("UPDATE conversation SET forked_from = ? WHERE id = ?", (source.id, copy.id))
        return self.conversation(copy.id)

    def search(self, text: str, limit: int = 100) -> list[Found]:
        """Messages and titles that hold ``text``, without regard to case, newest first."""
        wanted = text.casefold().strip()
        if not wanted:
            return []
        rows = self._rows(
            "SELECT message.* FROM message JOIN conversation ON conversation.id = message.conversation"
            " WHERE deleted IS NULL AND removed IS NULL AND (contains(content, ?) OR contains(title, ?))"
            " ORDER BY message.id DESC LIMIT ?",
            (wanted, wanted, limit),
        )
        heads = {item.id: item for item in self.conversations()}
        found = [(heads.get(row["conversation"]), message_of(row)) for row in rows]
        return [Found(head, message, _excerpt(message.content, wanted)) for head, message in found if head is not None]

    def deleted(self) -> list[Conversation]:
        """Those that were deleted and can still be restored, latest first."""
        rows = self._rows("SELECT * FROM conversation WHERE deleted IS NOT NULL ORDER BY deleted DESC", ())
        return [conversation_of(row, ()) for row in rows]

    def import_text(self, text: str) -> Conversation:
        """Keep a conversation that was exported as JSON or Markdown, or any JSON document with the protocol's
        ``messages``; raises ``UsageError`` when it is none of them."""
        read = read_document(text)
        return self.start(read.endpoint, read.parameters, read.title, read.facts, read.messages)

    def prompts(self, limit: int = 200) -> list[str]:
        """What the user asked lately in all conversations, oldest first, each once."""
        rows = self._rows("SELECT content, facts FROM message WHERE role = 'user' ORDER BY id DESC LIMIT ?", (limit,))
        said = [message_text(row["content"], row["facts"]) for row in rows]
        return list(reversed(dict.fromkeys(said)))

    def export_markdown(self, conversation_id: int) -> str:
        """One conversation as a Markdown page."""
        return export_markdown(self.conversation(conversation_id))

    def export_json(self, conversation_id: int) -> str:
        """One conversation as a JSON document."""
        return export_json(self.conversation(conversation_id))

    def _change(self, conversation_id: int, change: str, *values: Any) -> None:
        with self._writing() as connection:
            changed = connection.execute(
                f"UPDATE conversation SET {change}, updated = ? WHERE id = ? AND deleted IS NULL",
                (*values, time.time(), conversation_id),
            )
            if not changed.rowcount:
                raise NotFoundError(f"there is no conversation {conversation_id}")

    def settle_abandoned(self) -> None:
        """Answers whose writer is gone stop streaming; deleted conversations end after their time."""
        with self._writing() as connection:
            rows = connection.execute("SELECT id, writer FROM message WHERE state = 'streaming'").fetchall()
            for row in rows:
                if not process_lives(row["writer"]):
                    connection.execute(
                        "UPDATE message SET state = 'stopped', finish_reason = 'interrupted' WHERE id = ?", (row["id"],)
                    )
            connection.execute("DELETE FROM conversation WHERE deleted < ?", (time.time() - UNDO_SECONDS,))


def _excerpt(text: str, wanted: str, width: int = 100) -> str:
    at = max(0, text.casefold().find(wanted))
    start = max(0, at - width // 3)
    line = " ".join(text[start : start + width].split())
    return ("…" if start else "") + line + ("…" if start + width < len(text) else "")
