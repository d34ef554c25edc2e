"""The records: what was begun, what streams, what is lost; costs add up over every request that was sent."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compare.panels import endpoint, order
from tui.compare.ballot import Vote
from tui.compare.trial import AttemptState, Place, newest
from tui.compare.trial_store import TrialStore
from tui.errors import NotFoundError, StoreError


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return TrialStore(tmp_path / "trials.db")


def test_an_order_comes_back_as_it_went_in(store: TrialStore) -> None:
    wanted = order(endpoint("a"), endpoint("b"), prompts=2, repeat=3, max_cost=1.5, judge=endpoint("j"))
    trial = store.start(wanted, "title")
    assert store.trial(trial.id).order == wanted
    assert trial.wanted == 12
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_the_newest_attempt_is_the_answer_and_all_of_them_cost(store: TrialStore) -> None:
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    place = Place(0, 0)
    first = store.begin(trial.id, place, {"seed": 0}, cost=5, completion_tokens=0)
    store.stream({first: {"text": "half", "completion_tokens": 1, "cost": 7}})
    assert store.lose(trial.id) == 1
    second = store.begin(trial.id, place, {"seed": 0})
    store.finish(second, state=AttemptState.DONE, text="whole", cost=100, completion_tokens=4)
    attempts = store.attempts(trial.id)
    assert [item.number for item in attempts] == [1, 2]
    assert attempts[0].state is AttemptState.LOST and attempts[0].text == "half"
    assert newest(attempts)[place].text == "whole"
    assert store.spent(trial.id) == 107 and store.trial(trial.id).cost == 107
    store.stream({second: {"text": "late news"}})  # what is over does not change any more
    assert newest(store.attempts(trial.id))[place].text == "whole"


def test_a_reader_asks_only_for_what_is_new(store: TrialStore) -> None:
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    one = store.begin(trial.id, Place(0, 0), {})
    seen = max(item.revision for item in store.attempts(trial.id))
    assert store.attempts(trial.id, seen) == []
    store.stream({one: {"text": "x"}})
    assert [item.text for item in store.attempts(trial.id, seen)] == ["x"]


def test_circumstances_are_kept_once(store: TrialStore) -> None:
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    ids = [store.begin(trial.id, Place(number, 0), {"model": "m", "seed": 0}) for number in (0, 1)]
    assert len(store.circumstances(trial.id)) == 1
    store.finish(ids[0], under={"model": "m", "left_out": ["seed"]}, state=AttemptState.DONE)
    kept = store.circumstances(trial.id)
    assert {str(facts) for facts in kept.values()} >= {"{'left_out': ['seed'], 'model': 'm'}"}


def test_search_finds_prompts_contestants_and_answers_in_any_script(store: TrialStore) -> None:
    trial = store.start(order(endpoint("alpha"), endpoint("b")), "Über alles")
    attempt = store.begin(trial.id, Place(0, 0), {})
    store.finish(attempt, state=AttemptState.DONE, text="ПРИВЕТ")
    for text in ("über", "ALPHA", "привет", "question"):
        assert [item.id for item in store.trials(text)] == [trial.id], text
    assert store.trials("nothing") == []


def test_a_later_vote_on_the_same_pair_replaces_the_first(store: TrialStore) -> None:
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    store.vote(Vote(trial.id, 0, 0, "a", "b", "one"))
    store.vote(Vote(trial.id, 0, 0, "a", "b", "tie"))
    assert [vote.outcome for vote in store.votes(trial.id)] == ["tie"]


def test_a_trial_goes_with_its_answers_and_votes(store: TrialStore) -> None:
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    store.begin(trial.id, Place(0, 0), {})
    store.vote(Vote(trial.id, 0, 0, "a", "b", "one"))
    store.remove(trial.id)
    assert store.votes() == [] and store.attempts(trial.id) == []
    with pytest.raises(NotFoundError):
        store.trial(trial.id)


def test_another_process_that_leaves_takes_nothing_away(store: TrialStore) -> None:
    """Closing a descriptor of the open file would drop SQLite's locks, and whoever leaves would delete the log."""
    trial = store.start(order(endpoint("a"), endpoint("b")), "t")
    code = "import sys; from pathlib import Path; from tui.compare.trial_store import TrialStore as T;"
    code += f" s = T(Path({str(store.path)!r})); print(len(s.trials())); s.close()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    store.change_order(trial.id, order(endpoint("a"), endpoint("b"), max_cost=7.0))
    other = TrialStore(store.path)
    assert other.trial(trial.id).order.max_cost == 7.0
    fresh = subprocess.run(
        [sys.executable, "-c", code.replace("len(s.trials())", "s.trials()[0].order.max_cost")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert fresh.stdout.strip() == "7.0"


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    TrialStore(tmp_path / "t.db").close()
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        TrialStore(tmp_path / "t.db")
