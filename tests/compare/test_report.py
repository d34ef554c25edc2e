"""Exports, the table, differences between trials, and imported boards."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.chat.scripted_server import scripted
from tests.compare.panels import endpoint, order, refusal
from tui.catalog.card import Card
from tui.compare.difference import difference, words_of
from tui.compare.imported import import_board
from tui.compare.metrics import spread_of, summaries
from tui.compare.published import Published, published_results
from tui.compare.report import export_csv, export_markdown, table_rows, trial_facts
from tui.compare.trial import Attempt, AttemptState, Place, Trial
from tui.compare.trial_store import TrialStore
from tui.errors import HeftError, NotFoundError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return TrialStore(tmp_path / "t.db")


def answered(store: TrialStore, *texts: str, version: str = "1") -> tuple[Trial, list[Attempt]]:
    trial = store.start(order(endpoint("one"), endpoint("other|two")), "a title")
    for number, text in enumerate(texts):
        attempt = store.begin(trial.id, Place(number, 0), {"versions": {"heft": version}})
        store.finish(
            attempt, state=AttemptState.DONE, text=text, prompt_tokens=10, completion_tokens=5, cost=1_500_000,
            time_to_first_token=0.25, seconds=1.0, decode_rate=5.0, quality={"exact": 1.0, "words": 2},
        )  # fmt: skip
    return store.trial(trial.id), store.attempts(trial.id)


def test_totals_count_every_request_that_was_sent(store: TrialStore) -> None:
    trial, attempts = answered(store, "fine", "=SUM(1)")
    failed = store.begin(trial.id, Place(0, 0, 0, 1), {}, prompt_tokens=3, completion_tokens=2, counted=1, cost=7)
    store.finish(failed, state=AttemptState.FAILED, problem="gone")
    line = summaries(trial, store.attempts(trial.id))[0]
    assert (line.prompt_tokens, line.completion_tokens, line.counted_tokens) == (13, 7, 5)
    assert line.cost == 1_500_007 and line.failed == 1 and line.per_thousand == 1_500_000_000
    assert line.scores == {"exact": 1.0}
    assert table_rows(summaries(trial, attempts))[0][11] == "$0.0015"
    store.begin(trial.id, Place(1, 0, 0, 1), {}, prompt_tokens=3)
    assert summaries(trial, store.attempts(trial.id))[1].cost is None, "a sum with an unknown part is not known"


def test_spread() -> None:
    assert spread_of([None]) is None
    three = spread_of([3.0, 1.0, 2.0])
    assert three is not None and (three.median, three.low, three.high) == (2.0, 1.0, 3.0)
    many = spread_of([float(number) for number in range(1, 10)])
    assert many is not None and (many.median, many.low, many.high) == (5.0, 3.0, 7.0)


def test_csv_runs_no_formula_and_markdown_stays_a_table(store: TrialStore) -> None:
    trial, attempts = answered(store, "fine", "=SUM(1)")
    rows = list(csv.DictReader(io.StringIO(export_csv(trial, attempts, store.circumstances(trial.id)))))
    assert [row["text"] for row in rows] == ["fine", "'=SUM(1)"]
    assert rows[0]["cost_usd"] == "0.001500000" and json.loads(rows[0]["circumstances"])["versions"] == {"heft": "1"}
    page = export_markdown(trial, attempts, summaries(trial, attempts), store.circumstances(trial.id))
    heads, rule, *body = [line for line in page.split("\n") if line.startswith("|")]
    assert len(body) == 2 and all(line.count("|") - line.count("\\|") == heads.count("|") for line in body)
    assert rule.count("---") == heads.count("|") - 1 and "first token, s" in page
    assert json.dumps(trial_facts(trial, attempts, summaries(trial, attempts)))


def test_difference_names_what_changed(store: TrialStore) -> None:
    sides = []
    for texts, version in ((("same words here", "x"), "1"), (("same words there", "x"), "2")):
        trial, attempts = answered(store, *texts, version=version)
        sides.append((trial, attempts, summaries(trial, attempts), store.circumstances(trial.id)))
    found = difference(sides[0], sides[1])
    assert (found["same"], found["changed"]) == (1, 1)
    assert found["answers"][0]["word"] == 2 and found["answers"][0]["contestant"] == "one"
    assert found["contestants"][0]["circumstances"] == {"versions": ({"heft": "1"}, {"heft": "2"})}
    assert any("differs from word 3 on" in line for line in words_of(found))


def test_boards_are_imported_marked_and_dated(store: TrialStore, tmp_path: Path) -> None:
    table = tmp_path / "arena.csv"
    table.write_text("\ufeffRank,Model,Arena Score\n1,alpha,1300\n2,beta\x1b[31m,1310.5\n3,gamma,\n", encoding="utf-8")
    kept = import_board(store, str(table), dated="2026-11-01")
    assert [row["model"] for row in kept["rows"]] == ["beta\ufffd[31m", "alpha"] and kept["dated"] == "2026-11-01"
    listed = tmp_path / "b.json"
    listed.write_text(json.dumps({"name": "Own", "date": "2025", "data": [{"id": "m", "average": 3}]}))
    assert import_board(store, str(listed))["dated"] == "2025"
    assert [item["name"] for item in store.boards()] == ["Own", "arena"]
    assert all(item["source"] and item["imported"] for item in store.boards())
    with pytest.raises(UsageError):
        import_board(store, str(_write(tmp_path / "c.csv", "a,b\n1,2\n")))
    with pytest.raises(NotFoundError):
        import_board(store, str(tmp_path / "none.csv"))


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_results_of_a_card_are_published_ones_whatever_their_shape() -> None:
    result = {
        "dataset": {"name": "MMLU\x1b[1m", "type": "mmlu"},
        "metrics": [{"type": "acc", "value": 0.51234}, {"type": "none"}],
        "source": {"name": "Open LLM Leaderboard"},
    }
    card = Card("", {"model-index": [{"name": "m", "results": [result, "junk", {"metrics": "junk"}]}]})
    assert published_results(card) == [Published("MMLU\ufffd[1m", "acc", "0.5123", "Open LLM Leaderboard")]
    for shape in (None, "x", [{"results": None}], {"a": 1}):
        assert published_results(Card("", {"model-index": shape})) == []


def test_a_board_is_fetched_without_a_key_and_a_refusal_is_told(
    store: TrialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    body = b"model,score\nx,1\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    with scripted([head + body]) as server:
        kept = import_board(store, server.address.removesuffix("/v1") + "/arena.csv")
        assert kept["name"] == "arena" and kept["rows"][0]["model"] == "x" and len(kept["dated"]) == 10
        assert "authorization" not in server.seen[0].headers and server.seen[0].path == "/arena.csv"
    with scripted([refusal(404, "gone")]) as server, pytest.raises(HeftError, match="fetched"):
        import_board(store, server.address)
