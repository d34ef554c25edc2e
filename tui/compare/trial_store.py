"""The trials on this disk: orders, every request that was sent, votes and imported boards.

One SQLite file, mode 0600. What was asked and answered is synced to the disk before anything else is sent, for answers
cost money; text that is still streaming may be lost. Usable from several threads and by several processes at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.compare.ballot import Vote
from tui.compare.benchmarks import Score
from tui.compare.plan import Typical
from tui.compare.trial import Attempt, AttemptState, Order, Place, Trial
from tui.compare.trial_rows import ATTEMPT_COLUMNS, attempt_of, standing_of, trial_of, vote_of
from tui.compare.trial_schema import MIGRATIONS
from tui.errors import NotFoundError, StoreError
from tui.sqlite_file import Kind, RecordsFile, transaction

_COUNTS = """
    SELECT trial.*,
        (SELECT count(*) FROM attempt WHERE attempt.trial = trial.id AND state = 'done') AS answered,
        (SELECT count(*) FROM attempt WHERE attempt.trial = trial.id AND state IN ('failed', 'lost')) AS failed,
        (SELECT coalesce(sum(cost), 0) FROM attempt WHERE attempt.trial = trial.id)
            + (SELECT coalesce(sum(cost), 0) FROM vote WHERE vote.trial = trial.id) AS cost
    FROM trial
"""


class TrialStore(RecordsFile):
    """Opens or creates ``path``; raises ``StoreError`` for a newer schema or an unwritable file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Kind("trial", "trials", MIGRATIONS))
        with self._lock, self._translated():
            self._quick = self._open("NORMAL")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            super().close()
            self._quick.close()

    # --- trials

    def start(self, order: Order, title: str, replay_of: int | None = None) -> Trial:
        """Keep an order; it has no job yet."""
        now = time.time()
        spec = json.dumps(order.as_table(), ensure_ascii=False)
        with self._writing() as connection:
            row = connection.execute(
                "INSERT INTO trial (title, spec, replay_of, created, updated) VALUES (?, ?, ?, ?, ?)",
                (title, spec, replay_of, now, now),
            )
            trial_id = int(row.lastrowid or 0)
            connection.executemany(
                "INSERT INTO standing (trial, contestant) VALUES (?, ?)",
                [(trial_id, number) for number in range(len(order.contestants))],
            )
        return self.trial(trial_id)

    def trial(self, trial_id: int) -> Trial:
        """One trial; raises ``NotFoundError``."""
        rows = self._rows(f"{_COUNTS} WHERE trial.id = ?", (trial_id,))
        if not rows:
            raise NotFoundError(f"there is no trial {trial_id}", "heft trials lists them")
        standings = self._rows("SELECT * FROM standing WHERE trial = ? ORDER BY contestant", (trial_id,))
        return trial_of(rows[0], [standing_of(row) for row in standings])

    def trials(self, text: str = "") -> list[Trial]:
        """All trials, newest first; with ``text`` those whose prompts, contestants or answers hold it."""
        wanted = text.casefold().strip()
        condition = "" if not wanted else (
            " WHERE contains(title, :text) OR contains(spec, :text)"
            " OR EXISTS (SELECT 1 FROM attempt WHERE attempt.trial = trial.id AND contains(attempt.text, :text))"
        )  # fmt: skip
        rows = self._rows(f"{_COUNTS}{condition} ORDER BY trial.id DESC", {"text": wanted} if wanted else ())
        return [trial_of(row, ()) for row in rows]

    def change_order(self, trial_id: int, order: Order) -> None:
        """Replace what may change after the start: the spend cap."""
        with self._writing() as connection:
            connection.execute("UPDATE trial SET spec = ? WHERE id = ?", (json.dumps(order.as_table()), trial_id))

    def set_job(self, trial_id: int, job_id: int) -> None:
        """The job that works on it now."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE trial SET job = ?, host = ?, updated = ? WHERE id = ?",
                (job_id, os.uname().nodename, time.time(), trial_id),
            )

    def remove(self, trial_id: int) -> None:
        """Delete a trial with its answers and votes; raises ``NotFoundError``."""
        self.trial(trial_id)
        with self._writing() as connection:
            connection.execute("DELETE FROM trial WHERE id = ?", (trial_id,))

    def stand(self, trial_id: int, contestant: int, **changes: Any) -> None:
        """Note what was learned about a contestant; fields as in ``Standing``."""
        columns = ", ".join(f"{name} = ?" for name in changes)
        with self._writing() as connection:
            connection.execute(
                f"UPDATE standing SET {columns} WHERE trial = ? AND contestant = ?",
                (*changes.values(), trial_id, contestant),
            )

    # --- attempts

    def attempts(self, trial_id: int, after: int = 0) -> list[Attempt]:
        """The requests of a trial that changed after ``after`` (a revision), in the order they were sent."""
        rows = self._rows("SELECT * FROM attempt WHERE trial = ? AND revision > ? ORDER BY id", (trial_id, after))
        return [attempt_of(row) for row in rows]

    def begin(self, trial_id: int, place: Place, circumstances: Mapping[str, Any], **known: Any) -> int:
        """Keep that a request is about to be sent, with what is ``known`` of it; returns its id."""
        where = (trial_id, place.contestant, place.prompt, place.turn, place.repeat)
        columns = "".join(f", {name}" for name in known)
        marks = ", ?" * len(known)
        with self._writing() as connection:
            under = _circumstances_id(connection, circumstances)
            row = connection.execute(
                "INSERT INTO attempt (trial, contestant, prompt, turn, repeat, number, state, circumstances, started"
                f"{columns}) VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM attempt WHERE trial = ?"
                " AND contestant = ? AND prompt = ? AND turn = ? AND repeat = ?), 'streaming',"
                f" ?, ?{marks})",
                (*where, *where, under, time.time(), *known.values()),
            )
            return int(row.lastrowid or 0)

    def stream(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Show how far attempts are that still stream. May be lost, never raises."""
        with contextlib.suppress(StoreError), self._lock, self._translated(), transaction(self._quick) as connection:
            for attempt_id, values in changes.items():
                columns = ", ".join(f"{name} = ?" for name in values)
                connection.execute(
                    f"UPDATE attempt SET {columns} WHERE id = ? AND state = 'streaming'",
                    (*values.values(), attempt_id),
                )

    def finish(self, attempt_id: int, under: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """Keep how an attempt ended; names as in ``Attempt``. ``under`` replaces the circumstances."""
        values = {name: _plain(value) for name, value in changes.items() if name in ATTEMPT_COLUMNS}
        with self._writing() as connection:
            if under is not None:
                values["circumstances"] = _circumstances_id(connection, under)
            columns = ", ".join(f"{name} = ?" for name in values)
            connection.execute(f"UPDATE attempt SET {columns} WHERE id = ?", (*values.values(), attempt_id))

    def lose(self, trial_id: int) -> int:
        """Whoever worked on this trial is gone: what still streams is lost. Returns how many."""
        with self._writing() as connection:
            problem = "the process that asked was killed in the middle"
            return connection.execute(
                "UPDATE attempt SET state = ?, problem = ? WHERE trial = ? AND state = 'streaming'",
                (AttemptState.LOST.value, problem, trial_id),
            ).rowcount

    def forget_held(self, trial_id: int) -> None:
        """Drop the notes about requests that were not sent: they are tried again."""
        with self._writing() as connection:
            connection.execute("DELETE FROM attempt WHERE trial = ? AND state = 'held'", (trial_id,))

    def circumstances(self, trial_id: int) -> dict[int, dict[str, Any]]:
        """Under which circumstances (revision, recipe, template, parameters, versions, device) requests were sent."""
        rows = self._rows(
            "SELECT * FROM circumstances WHERE id IN (SELECT circumstances FROM attempt WHERE trial = ?)", (trial_id,)
        )
        return {int(row["id"]): json.loads(row["facts"]) for row in rows}

    def spent(self, trial_id: int) -> int:
        """What the requests of a trial cost so far, in billionths of a US dollar."""
        rows = self._rows(
            "SELECT (SELECT coalesce(sum(cost), 0) FROM attempt WHERE trial = :trial)"
            " + (SELECT coalesce(sum(cost), 0) FROM vote WHERE trial = :trial)",
            {"trial": trial_id},
        )
        return int(rows[0][0])

    def typical(self, name: str) -> Typical:
        """How the contestant of that name answered lately: medians of its last thirty answers."""
        rows = self._rows(
            "SELECT attempt.completion_tokens, decode_rate, time_to_first_token, load_seconds FROM attempt"
            " JOIN trial ON trial.id = attempt.trial"
            " LEFT JOIN standing ON standing.trial = trial.id AND standing.contestant = attempt.contestant"
            " WHERE state = 'done' AND json_extract(spec, '$.contestants[' || attempt.contestant || '].name') = ?"
            " ORDER BY attempt.id DESC LIMIT 30",
            (name,),
        )
        columns = [[row[number] for row in rows if row[number] is not None] for number in range(4)]
        return Typical(*(statistics.median(column) if column else None for column in columns))

    # --- votes and boards

    def vote(self, vote: Vote) -> None:
        """Keep a vote; a later one on the same pair by the same voter replaces it."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO vote (trial, prompt, repeat, one, other, outcome, voter, facts, prompt_tokens,"
                " completion_tokens, cost, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (trial, prompt, repeat, one, other, voter) DO UPDATE SET outcome = excluded.outcome,"
                " facts = excluded.facts, prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
                " completion_tokens = completion_tokens + excluded.completion_tokens,"
                " cost = coalesce(cost, 0) + coalesce(excluded.cost, 0), at = excluded.at",
                (vote.trial, vote.prompt, vote.repeat, vote.one, vote.other, vote.outcome, vote.voter,
                 json.dumps(dict(vote.facts)), vote.prompt_tokens, vote.completion_tokens, vote.cost, time.time()),
            )  # fmt: skip

    def votes(self, trial_id: int | None = None) -> list[Vote]:
        """The votes of one trial, or of all, oldest first."""
        condition, values = ("", ()) if trial_id is None else ("WHERE trial = ?", (trial_id,))
        return [vote_of(row) for row in self._rows(f"SELECT * FROM vote {condition} ORDER BY id", values)]

    def keep_scores(self, build: str, harness: str, scores: Sequence[Score]) -> None:
        """Keep what benchmark tasks measured on a build, by ``harness`` (a version); earlier scores give way."""
        now = time.time()
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO score (build, task, metric, value, error, samples, harness, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(build, one.task, one.metric, one.value, one.error, one.samples, harness, now) for one in scores],
            )

    def scores(self, build: str) -> list[Score]:
        """What benchmark tasks measured on a build here."""
        rows = self._rows("SELECT * FROM score WHERE build = ? ORDER BY task, metric", (build,))
        return [Score(row["task"], row["metric"], row["value"], row["error"], row["samples"]) for row in rows]

    def keep_board(self, name: str, source: str, dated: str, facts: Mapping[str, Any]) -> None:
        """Keep an imported board under ``name``; an earlier one of that name goes."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO board (name, source, dated, imported, facts) VALUES (?, ?, ?, ?, ?)",
                (name, source, dated, time.time(), json.dumps(facts, ensure_ascii=False)),
            )

    def boards(self) -> list[dict[str, Any]]:
        """The imported boards: name, source, dated, imported (seconds since 1970) and rows."""
        return [
            {"name": row["name"], "source": row["source"], "dated": row["dated"], "imported": row["imported"]}
            | json.loads(row["facts"])
            for row in self._rows("SELECT * FROM board ORDER BY name", ())
        ]


def _circumstances_id(connection: sqlite3.Connection, circumstances: Mapping[str, Any]) -> int:
    facts = json.dumps(circumstances, ensure_ascii=False, sort_keys=True, default=str)
    connection.execute("INSERT OR IGNORE INTO circumstances (facts) VALUES (?)", (facts,))
    return int(connection.execute("SELECT id FROM circumstances WHERE facts = ?", (facts,)).fetchone()[0])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return value.value if isinstance(value, AttemptState) else value
