"""Ordered migrations of the file of conversations. A migration, once released, never changes."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            endpoint TEXT NOT NULL,
            parameters TEXT NOT NULL DEFAULT '{}',
            facts TEXT NOT NULL DEFAULT '{}',
            forked_from INTEGER,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            deleted REAL
        )""",
        """CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            thinking TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL CHECK (state IN ('streaming', 'complete', 'stopped', 'failed')),
            finish_reason TEXT NOT NULL DEFAULT '',
            usage TEXT NOT NULL DEFAULT '{}',
            time_to_first_token REAL,
            tokens_per_second REAL,
            problem TEXT NOT NULL DEFAULT '',
            writer TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL
        )""",
        "CREATE INDEX message_by_conversation ON message (conversation, id)",
    ),
    (
        # Messages become a tree: an edited question and another answer stand beside the old one instead of over it.
        "ALTER TABLE message ADD COLUMN parent INTEGER",
        "ALTER TABLE message ADD COLUMN facts TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE message ADD COLUMN removed REAL",
        "ALTER TABLE message ADD COLUMN stop_asked INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE conversation ADD COLUMN leaf INTEGER",
        """UPDATE message SET parent = (SELECT max(before.id) FROM message AS before
            WHERE before.conversation = message.conversation AND before.id < message.id)""",
        "UPDATE conversation SET leaf = (SELECT max(id) FROM message WHERE conversation = conversation.id)",
    ),
)
