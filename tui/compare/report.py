"""A trial as a file: CSV for spreadsheets, JSON for programs, Markdown for people with a table and a chart in text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tui.compare.ballot import Vote
from tui.compare.metrics import Spread, Summary
from tui.compare.plan import cost_text
from tui.compare.trial import Attempt, Place, Trial, dollars, newest
from tui.plain_text import clean, clean_line
from tui.quantities import bytes_text, count_text

FORMATS = ("md", "json", "csv")
MEASURED = ("perplexity", "kl_divergence")
"""What quantizing measured about a build, which no answer of a trial tells."""
_CSV = (
    "trial", "contestant", "prompt_id", "prompt", "turn", "repeat", "attempt", "state", "text", "thinking",
    "finish_reason", "prompt_tokens", "completion_tokens", "thinking_tokens", "cached_tokens", "counted",
    "time_to_first_token", "seconds", "decode_rate", "prompt_rate", "cost_usd", "waited", "tries", "problem",
    "quality", "circumstances",
)  # fmt: skip
BAR = 24


def trial_facts(
    trial: Trial,
    attempts: Sequence[Attempt],
    summaries: Sequence[Summary],
    circumstances: Mapping[int, Mapping[str, Any]] | None = None,
    votes: Sequence[Vote] = (),
) -> dict[str, Any]:
    """A trial as JSON: its order, the table, every request with its circumstances, and the votes. Costs in dollars."""
    order = trial.order.as_table()
    return {
        "id": trial.id,
        "title": trial.title,
        "created": trial.created.isoformat().replace("+00:00", "Z"),
        "job": trial.job,
        "replay_of": trial.replay_of,
        "wanted": trial.wanted,
        "answered": trial.answered,
        "cost": dollars(trial.cost),
        "system": order["system"],
        "parameters": order["parameters"],
        "repeat": trial.order.repeat,
        "max_cost": trial.order.max_cost,
        "judge": trial.order.judge.name if trial.order.judge else "",
        "contestants": [
            {**{name: value for name, value in row.items() if value not in (None, "", ())}, **summary.facts()}
            for row, summary in zip(order["contestants"], summaries, strict=True)
        ],
        "prompts": [
            {name: value for name, value in row.items() if value not in (None, "", ())} for row in order["prompts"]
        ],
        "answers": [attempt_facts(trial, attempt) for attempt in attempts],
        "circumstances": {str(number): facts for number, facts in (circumstances or {}).items()},
        "votes": [
            {
                "prompt": vote.prompt,
                "repeat": vote.repeat,
                "one": vote.one,
                "other": vote.other,
                "outcome": vote.outcome,
                "voter": vote.voter,
                "cost": dollars(vote.cost),
                **dict(vote.facts),
            }
            for vote in votes
        ],
    }


def attempt_facts(trial: Trial, attempt: Attempt) -> dict[str, Any]:
    """One request as JSON."""
    place = attempt.place
    return {
        "contestant": trial.order.contestants[place.contestant].name,
        "prompt": place.prompt,
        "turn": place.turn,
        "repeat": place.repeat,
        "attempt": attempt.number,
        "state": attempt.state.value,
        "text": attempt.text,
        "thinking": attempt.thinking,
        "finish_reason": attempt.finish_reason,
        "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens,
        "thinking_tokens": attempt.thinking_tokens,
        "cached_tokens": attempt.cached_tokens,
        "counted": attempt.counted,
        "time_to_first_token": attempt.time_to_first_token,
        "seconds": attempt.seconds,
        "decode_rate": attempt.decode_rate,
        "prompt_rate": attempt.prompt_rate,
        "cost": dollars(attempt.cost),
        "waited": attempt.waited,
        "tries": attempt.tries,
        "problem": attempt.problem,
        "quality": dict(attempt.quality),
        "circumstances": attempt.circumstances,
    }


def export_csv(trial: Trial, attempts: Sequence[Attempt], circumstances: Mapping[int, Mapping[str, Any]]) -> str:
    """One line for each request that was sent."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _CSV, lineterminator="\n")
    writer.writeheader()
    for attempt in attempts:
        facts = attempt_facts(trial, attempt)
        prompt = trial.order.prompts[attempt.place.prompt]
        cost = facts.pop("cost")
        row = facts | {
            "trial": trial.id,
            "prompt_id": prompt.id or str(attempt.place.prompt + 1),
            "prompt": prompt.turns[attempt.place.turn],
            "cost_usd": "" if cost is None else f"{cost:.9f}",
            "quality": json.dumps(facts["quality"], ensure_ascii=False),
            "circumstances": json.dumps(circumstances.get(attempt.circumstances, {}), ensure_ascii=False),
        }
        writer.writerow({name: _harmless(row[name]) for name in _CSV})
    return file.getvalue()


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def export_json(facts: Mapping[str, Any]) -> str:
    """The whole as one document."""
    return json.dumps(facts, ensure_ascii=False, indent=2) + "\n"


def export_markdown(
    trial: Trial,
    attempts: Sequence[Attempt],
    summaries: Sequence[Summary],
    circumstances: Mapping[int, Mapping[str, Any]],
) -> str:
    """A page: the table, charts in text, the answers side by side under each prompt, and what they ran on."""
    lines = [f"# Trial {trial.id}: {clean_line(trial.title)}", ""]
    lines += [
        f"{trial.created:%Y-%m-%d %H:%M} UTC, {trial.answered} of {trial.wanted} answers, {cost_text(trial.cost)}"
    ]
    parameters = json.dumps(trial.order.parameters.chosen())
    lines += [f"Parameters `{parameters}`, {trial.order.repeat} repeats.", "", *table_lines(summaries), ""]
    lines += ["```", *chart_lines(summaries), "```", ""]
    answers = newest(attempts)
    for number, prompt in enumerate(trial.order.prompts):
        lines += [f"## {number + 1}. {clean_line(prompt.turns[0], 100)}", ""]
        for turn, said in enumerate(prompt.turns):
            if len(prompt.turns) > 1:
                lines += [f"> {line}" for line in clean(said).split("\n")] + [""]
            for index, contestant in enumerate(trial.order.contestants):
                attempt = answers.get(Place(index, number, turn))
                lines += [f"### {clean_line(contestant.name)}", "", _answer_text(attempt), ""]
    lines += ["## What they ran on", ""]
    lines += [f"- `{json.dumps(facts, ensure_ascii=False)}`" for facts in circumstances.values()]
    return "\n".join(lines).rstrip() + "\n"


def _answer_text(attempt: Attempt | None) -> str:
    if attempt is None:
        return "*(not asked)*"
    fence = "`" * max(3, 1 + max((len(run) for run in attempt.text.split("\n") if run.startswith("```")), default=2))
    body = f"{fence}text\n{clean(attempt.text)}\n{fence}" if attempt.text else ""
    return body if attempt.is_answer else f"{body}\n\n*({attempt.state.value}: {clean_line(attempt.problem)})*".strip()


HEADS = ("contestant", "answers", "load", "first token", "prompt t/s", "decode t/s", "total", "tokens in", "out",
         "thinking", "memory", "cost", "per 1,000")  # fmt: skip


def table_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """The table as text, a row for each contestant under ``HEADS`` and the checks that somebody has a score in."""
    names = score_names(summaries)
    return [
        [
            summary.name,
            f"{summary.answered}/{summary.wanted}" + (f" ✗{summary.failed}" if summary.failed else ""),
            seconds_text(summary.load_seconds),
            spread_text(summary.first, seconds_text),
            spread_text(summary.prompt_rate, rate_text),
            spread_text(summary.decode_rate, rate_text),
            spread_text(summary.seconds, seconds_text),
            count_text(summary.prompt_tokens),
            count_text(summary.completion_tokens) + ("*" if summary.counted_tokens else ""),
            count_text(summary.thinking_tokens) if summary.thinking_tokens else "",
            bytes_text(summary.peak_memory) if summary.peak_memory else "—",
            cost_text(summary.cost),
            cost_text(summary.per_thousand),
            *(score_text(name, summary) for name in names),
        ]
        for summary in summaries
    ]


def score_names(summaries: Sequence[Summary]) -> list[str]:
    """The checks that at least one contestant has a score in, and perplexity where a build has one."""
    names = list(dict.fromkeys(name for summary in summaries for name in summary.scores))
    shown = [name for name in names if name != "refusal" or any(summary.scores.get(name) for summary in summaries)]
    measured = [name for name in MEASURED if any(getattr(summary, name) is not None for summary in summaries)]
    return [*shown, *measured]


def table_lines(summaries: Sequence[Summary]) -> list[str]:
    """The table in Markdown."""
    heads = [*HEADS, *(name.replace("_", "-") for name in score_names(summaries))]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table_rows(summaries):
        lines.append("| " + " | ".join(clean_line(cell).replace("|", "\\|") for cell in row) + " |")
    if any(summary.counted_tokens for summary in summaries):
        lines += ["", "\\* counted here where the server reported nothing"]
    return lines


def chart_lines(summaries: Sequence[Summary]) -> list[str]:
    """Decode rate, time to the first token and cost as bars of text."""
    charts = (
        ("decode, tokens/s", [item.decode_rate.median if item.decode_rate else None for item in summaries], rate_text),
        ("first token, s", [item.first.median if item.first else None for item in summaries], seconds_text),
        ("cost", [float(item.cost) if item.cost else None for item in summaries], lambda nano: cost_text(round(nano))),
    )
    width = min(32, max((len(item.name) for item in summaries), default=0))
    lines: list[str] = []
    for title, values, words in charts:
        top = max((value for value in values if value), default=0.0)
        if not top:
            continue
        lines.append(title)
        for summary, value in zip(summaries, values, strict=True):
            bar = "█" * max(1, round(BAR * value / top)) if value else ""
            text = words(value) if value is not None else "—"
            lines.append(f"  {clean_line(summary.name, width):<{width}} {bar:<{BAR}} {text}")
    return lines


def spread_text(spread: Spread | None, words: Any) -> str:
    """A median with its quartiles where there is more than one value: "0.42 (0.40-0.47)"."""
    if spread is None:
        return "—"
    if spread.count == 1:
        return str(words(spread.median))
    return f"{words(spread.median)} ({words(spread.low)}-{words(spread.high)})"


def seconds_text(seconds: float | None) -> str:
    """Seconds in as many digits as they deserve."""
    if seconds is None:
        return "—"
    return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.0f}s"


def rate_text(rate: float | None) -> str:
    """Tokens per second in three digits."""
    if rate is None:
        return "—"
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def score_text(name: str, summary: Summary) -> str:
    """A score as a cell of the table."""
    if name in MEASURED:
        measured = getattr(summary, name)
        return "—" if measured is None else f"{measured:.4g}"
    value = summary.scores.get(name)
    return "—" if value is None else f"{value:.2f}"
