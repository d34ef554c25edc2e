"""The tables of the job database, as ordered migrations, and the triggers that keep its promises.

Each migration is a tuple of statements that runs in one transaction; its place in ``MIGRATIONS`` is its version, kept
in ``PRAGMA user_version``. Published migrations are never edited. Triggers, not callers, write the history and stamp
each changed row with the next number of one counter, so no writer can forget to.
"""

from __future__ import annotations

_TABLES = (
    """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
            ('queued', 'running', 'ready', 'paused', 'done', 'failed', 'cancelled', 'interrupted')),
        model TEXT NOT NULL,
        spec TEXT NOT NULL,
        needs TEXT NOT NULL,
        after TEXT NOT NULL,
        plan TEXT NOT NULL,
        priority INTEGER NOT NULL DEFAULT 0,
        want TEXT CHECK (want IN ('cancel', 'pause')),
        attempt INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,
        device TEXT NOT NULL DEFAULT '',
        progress TEXT NOT NULL DEFAULT '{}',
        waiting_because TEXT NOT NULL DEFAULT '',
        failure TEXT,
        result TEXT NOT NULL DEFAULT '{}',
        note TEXT NOT NULL DEFAULT '',
        created TEXT NOT NULL,
        started TEXT,
        ended TEXT,
        revision INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX job_revision ON job (revision)",
    "CREATE INDEX job_state ON job (state)",
    """
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        at TEXT NOT NULL,
        state TEXT NOT NULL,
        note TEXT NOT NULL
    )
    """,
    "CREATE INDEX event_job ON event (job_id, seq)",
    "CREATE TABLE removed (job_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)",
    "CREATE INDEX removed_revision ON removed (revision)",
    "CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), value INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (1, 0)",
)

_STAMP = """
    UPDATE counter SET value = value + 1;
    UPDATE job SET revision = (SELECT value FROM counter) WHERE id = NEW.id;
"""

_TELL = """
    INSERT INTO event (job_id, attempt, at, state, note)
    VALUES (NEW.id, NEW.attempt, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), NEW.state, NEW.note);
"""

_TRIGGERS = (
    f"CREATE TRIGGER job_added AFTER INSERT ON job BEGIN {_STAMP} {_TELL} END",
    f"CREATE TRIGGER job_changed AFTER UPDATE ON job WHEN NEW.revision = OLD.revision BEGIN {_STAMP} END",
    f"CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN NEW.state <> OLD.state BEGIN {_TELL} END",
    """
    CREATE TRIGGER job_removed AFTER DELETE ON job BEGIN
        UPDATE counter SET value = value + 1;
        INSERT OR REPLACE INTO removed VALUES (OLD.id, (SELECT value FROM counter));
        DELETE FROM event WHERE job_id = OLD.id;
    END
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _TABLES + _TRIGGERS,
    # How far the job was at its last death, per unit: deaths count only while this does not grow.
    ("ALTER TABLE job ADD COLUMN furthest TEXT NOT NULL DEFAULT '{}'",),
    # When a job that failed for a passing reason tries again, and the ending of it that was last told about.
    (
        "ALTER TABLE job ADD COLUMN again TEXT",
        "ALTER TABLE job ADD COLUMN told TEXT NOT NULL DEFAULT ''",
        "UPDATE job SET told = state",
    ),
    # More kinds of jobs (compare, export, benchmark): a runner that does not know them makes way to a newer one.
    (),
)

SCHEMA_VERSION = len(MIGRATIONS)
"""The version that this program reads and writes."""
