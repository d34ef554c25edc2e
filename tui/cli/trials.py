"""``heft trials`` and ``heft board``: earlier trials, their tables, exports and differences, and who wins."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.cli.output import Output
from tui.compare.board import board as ranking
from tui.compare.difference import difference, words_of
from tui.compare.imported import import_board
from tui.compare.plan import cost_text
from tui.compare.report import (
    HEADS,
    chart_lines,
    export_csv,
    export_json,
    export_markdown,
    score_names,
    table_rows,
    trial_facts,
)
from tui.compare.trial import newest
from tui.compare.trials import Trials
from tui.errors import HeftError
from tui.plain_text import clean
from tui.workbench import Workbench

PUBLISHED_SHOWN = 6
"""Results of a model's own card that are told behind a trial; all of them are in the JSON."""


def list_trials(arguments: Namespace, output: Output) -> int:
    """Print the trials, newest first."""
    trials = Workbench().trials()
    found = trials.store.trials(arguments.search)
    rows = []
    facts = []
    for trial in found:
        job = trials.job_of(trial)
        state = str(job.state) if job else ("done" if trial.answered == trial.wanted else "incomplete")
        names = [contestant.name for contestant in trial.order.contestants]
        facts.append(
            {
                "id": trial.id,
                "title": trial.title,
                "state": state,
                "contestants": names,
                "prompts": len(trial.order.prompts),
                "answered": trial.answered,
                "wanted": trial.wanted,
                "cost": trial.cost / 1e9,
                "created": trial.created.isoformat().replace("+00:00", "Z"),
                "replay_of": trial.replay_of,
            }
        )
        when = f"{trial.created:%Y-%m-%d %H:%M}"
        many = f"{trial.answered}/{trial.wanted}"
        rows.append([str(trial.id), when, trial.title, ", ".join(names), state, many, cost_text(trial.cost)])
    output.document(facts)
    heads = [">ID", "WHEN", "PROMPT", "CONTESTANTS", "STATE", ">ANSWERS", ">COST"]
    output.table(heads, rows, 'no trials yet; heft compare "a question" -m one -m other makes one')
    return 0


def show(arguments: Namespace, output: Output) -> int:
    """Print one trial with its table and answers."""
    trials = Workbench().trials()
    output.document(trial_document(trials, arguments.trial))
    print_trial(trials, arguments.trial, output)
    return 0


def export(arguments: Namespace, output: Output) -> int:
    """Write one trial as a file, or to stdout."""
    trials = Workbench().trials()
    text = export_text(trials, arguments.trial, arguments.format)
    if not arguments.output:
        sys.stdout.write(text)
        return 0
    path = Path(arguments.output).expanduser()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HeftError(f"{path} cannot be written: {error.strerror or error}", "choose another file") from None
    output.document({"path": str(path), "bytes": len(text.encode())})
    output.note(f"trial {arguments.trial} is in {path}")
    return 0


def diff(arguments: Namespace, output: Output) -> int:
    """Say what differs between two trials."""
    found = diff_facts(Workbench().trials(), arguments.other, arguments.trial)
    output.document(found)
    for line in words_of(found):
        output.text(line)
    return 0


def remove(arguments: Namespace, output: Output) -> int:
    """Delete a trial; refused while its job works."""
    trials = Workbench().trials()
    trials.remove(arguments.trial)
    output.document({"removed": arguments.trial})
    output.note(f"trial {arguments.trial} is gone")
    return 0


def board(arguments: Namespace, output: Output) -> int:
    """Print the ranking, and the imported boards; or import one."""
    trials = Workbench().trials()
    if arguments.source:
        kept = import_board(trials.store, arguments.source, arguments.name, arguments.dated)
        output.document(kept)
        output.note(f"{kept['name']}: {len(kept['rows'])} rows, dated {kept['dated']}, imported from {kept['source']}")
        return 0
    votes = trials.store.votes(arguments.trial)
    if arguments.judge:
        votes = [vote for vote in votes if vote.voter == arguments.judge]
    ranks = ranking(votes)
    imported = trials.store.boards()
    output.document({"votes": len(votes), "ranks": [asdict(rank) for rank in ranks], "imported": imported})
    rows = [
        [rank.name, f"{rank.rating:.0f}", f"{rank.low:.0f} to {rank.high:.0f}", str(rank.votes),
         str(rank.wins), str(rank.losses), str(rank.ties), str(rank.both_bad)]
        for rank in ranks
    ]  # fmt: skip
    heads = ["MODEL", ">ELO", "95 %", ">VOTES", ">WON", ">LOST", ">TIED", ">BOTH BAD"]
    output.table(heads, rows, "no votes yet; in the app, v on a trial votes blind")
    for item in imported:
        output.text()
        output.text(f"{item['name']} (imported, dated {item['dated']}, from {item['source']})")
        for row in item["rows"][:15]:
            output.text(f"  {row['rank']:>3}  {row['score']:>8g}  {row['model']}")
    return 0


def trial_document(trials: Trials, trial_id: int) -> dict[str, Any]:
    """A trial as the one JSON document of a command."""
    trial, attempts, lines = trials.results(trial_id)
    circumstances = trials.store.circumstances(trial_id)
    job = trials.job_of(trial)
    facts = trial_facts(trial, attempts, lines, circumstances, trials.store.votes(trial_id))
    published = {one.name: [asdict(result) for result in trials.published(one)] for one in trial.order.contestants}
    return {"trial": trial.id, "state": str(job.state) if job else ""} | facts | {"published": published}


def print_trial(trials: Trials, trial_id: int, output: Output) -> None:
    """The answers, the table and the chart for people."""
    trial, attempts, lines = trials.results(trial_id)
    names = [contestant.name for contestant in trial.order.contestants]
    for place, attempt in sorted(newest(attempts).items(), key=lambda item: (item[0].prompt, item[0].repeat)):
        repeat = f", repeat {place.repeat + 1}" if trial.order.repeat > 1 else ""
        turn = f", turn {place.turn + 1}" if len(trial.order.prompts[place.prompt].turns) > 1 else ""
        many = f", prompt {place.prompt + 1}" if len(trial.order.prompts) > 1 else ""
        output.text(f"── {names[place.contestant]}{many}{turn}{repeat}")
        if attempt.text:
            output.text(attempt.text.rstrip())
        if not attempt.is_answer:
            output.text(f"✗ {attempt.state.value}: {attempt.problem}")
        output.text()
    heads = [HEADS[0].upper(), *(f">{head.upper()}" for head in (*HEADS[1:], *score_names(lines)))]
    output.table(heads, table_rows(lines), "no contestants")
    for summary in lines:
        if summary.problem:
            output.text(f"✗ {summary.name}: {summary.problem}")
    for line in chart_lines(lines):
        output.text(clean(line))
    for contestant in trial.order.contestants:
        results = trials.published(contestant)
        told = ", ".join(f"{one.dataset} {one.metric} {one.value}" for one in results[:PUBLISHED_SHOWN])
        more = f" and {len(results) - PUBLISHED_SHOWN} more" if len(results) > PUBLISHED_SHOWN else ""
        if results:
            output.text(f"published of {contestant.name}, not measured here: {told}{more}")


def export_text(trials: Trials, trial_id: int, kind: str) -> str:
    """A trial in one of the formats of ``report``."""
    trial, attempts, lines = trials.results(trial_id)
    circumstances = trials.store.circumstances(trial_id)
    if kind == "csv":
        return export_csv(trial, attempts, circumstances)
    if kind == "json":
        return export_json(trial_facts(trial, attempts, lines, circumstances, trials.store.votes(trial_id)))
    return export_markdown(trial, attempts, lines, circumstances)


def diff_facts(trials: Trials, before: int, after: int) -> dict[str, Any]:
    """What differs between two trials, as JSON."""
    sides = [(*trials.results(number), trials.store.circumstances(number)) for number in (before, after)]
    found: dict[str, Any] = json.loads(json.dumps(difference(sides[0], sides[1])))
    return found
