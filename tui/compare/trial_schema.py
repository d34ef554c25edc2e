"""Ordered migrations of the file of trials. A migration, once released, never changes.

A trigger stamps each changed attempt with the next number of one counter, so a screen asks only for what is new.
"""

from __future__ import annotations

_STAMP = """
    UPDATE counter SET value = value + 1;
    UPDATE attempt SET revision = (SELECT value FROM counter) WHERE id = NEW.id;
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE trial (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            spec TEXT NOT NULL,
            job INTEGER,
            host TEXT NOT NULL DEFAULT '',
            replay_of INTEGER,
            created REAL NOT NULL,
            updated REAL NOT NULL
        )""",
        """CREATE TABLE standing (
            trial INTEGER NOT NULL REFERENCES trial(id) ON DELETE CASCADE,
            contestant INTEGER NOT NULL,
            load_seconds REAL,
            peak_memory INTEGER,
            host_job INTEGER,
            problem TEXT NOT NULL DEFAULT '',
            note TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (trial, contestant)
        )""",
        "CREATE TABLE circumstances (id INTEGER PRIMARY KEY, facts TEXT NOT NULL UNIQUE)",
        """CREATE TABLE attempt (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            trial INTEGER NOT NULL REFERENCES trial(id) ON DELETE CASCADE,
            contestant INTEGER NOT NULL,
            prompt INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            repeat INTEGER NOT NULL,
            number INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('streaming', 'done', 'failed', 'lost', 'held')),
            text TEXT NOT NULL DEFAULT '',
            thinking TEXT NOT NULL DEFAULT '',
            finish_reason TEXT NOT NULL DEFAULT '',
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            thinking_tokens INTEGER,
            cached_tokens INTEGER,
            counted INTEGER NOT NULL DEFAULT 0,
            time_to_first_token REAL,
            seconds REAL,
            decode_rate REAL,
            prompt_rate REAL,
            cost INTEGER,
            waited REAL NOT NULL DEFAULT 0,
            tries INTEGER NOT NULL DEFAULT 1,
            problem TEXT NOT NULL DEFAULT '',
            hint TEXT NOT NULL DEFAULT '',
            circumstances INTEGER NOT NULL DEFAULT 0,
            quality TEXT NOT NULL DEFAULT '{}',
            started REAL NOT NULL,
            revision INTEGER NOT NULL DEFAULT 0,
            UNIQUE (trial, contestant, prompt, turn, repeat, number)
        )""",
        "CREATE INDEX attempt_by_revision ON attempt (trial, revision)",
        """CREATE TABLE vote (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            trial INTEGER NOT NULL REFERENCES trial(id) ON DELETE CASCADE,
            prompt INTEGER NOT NULL,
            repeat INTEGER NOT NULL,
            one TEXT NOT NULL,
            other TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK (outcome IN ('one', 'other', 'tie', 'neither')),
            voter TEXT NOT NULL,
            facts TEXT NOT NULL DEFAULT '{}',
            prompt_tokens INTEGER NOT NULL DEFAULT 0,
            completion_tokens INTEGER NOT NULL DEFAULT 0,
            cost INTEGER,
            at REAL NOT NULL,
            UNIQUE (trial, prompt, repeat, one, other, voter)
        )""",
        """CREATE TABLE board (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            dated TEXT NOT NULL,
            imported REAL NOT NULL,
            facts TEXT NOT NULL
        )""",
        "CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), value INTEGER NOT NULL)",
        "INSERT INTO counter VALUES (1, 0)",
        f"CREATE TRIGGER attempt_added AFTER INSERT ON attempt BEGIN {_STAMP} END",
        f"CREATE TRIGGER attempt_changed AFTER UPDATE ON attempt WHEN NEW.revision = OLD.revision BEGIN {_STAMP} END",
    ),
    # Benchmark tasks that were measured here, one row for each metric of a task on a build.
    (
        """CREATE TABLE score (
            build TEXT NOT NULL,
            task TEXT NOT NULL,
            metric TEXT NOT NULL,
            value REAL NOT NULL,
            error REAL,
            samples INTEGER,
            harness TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (build, task, metric)
        )""",
    ),
)
