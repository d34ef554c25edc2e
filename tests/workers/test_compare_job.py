"""A trial as a job, in its real process: killed and resumed, failing alone, held by the spend cap, judged.

The endpoints keep their own books, so what Heft counts is held against what a provider would bill.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chat.scripted_server import Seen, Step, scripted
from tests.compare.panels import dying, endpoint, order, refusal, said, talker
from tests.workers.worker_job import WorkerJob
from tui.compare.keys import KEYS_FILE, keep_keys
from tui.compare.trial import Attempt, AttemptState, Order, Prompt, newest
from tui.compare.trial_store import TrialStore
from tui.jobs.job import Job, Kind, State
from tui.paths import Paths

DOLLARS_IN, DOLLARS_OUT = 0.075, 0.3


class TrialJob:
    """One trial with its records and its job."""

    def __init__(self, paths: Paths, wanted: Order, keys: tuple[str, ...] = ()) -> None:
        self.store = TrialStore(paths.trials)
        self.id = self.store.start(wanted, "t").id
        self.job = WorkerJob(paths, Kind.COMPARE, "t", {"trial": self.id, "keys": list(keys)})
        keep_keys(self.job.job.folder, keys)

    def run(self) -> Job:
        return self.job.run()

    def retry(self, **changes: object) -> Job:
        if changes:
            self.store.change_order(self.id, replace(self.store.trial(self.id).order, **changes))  # type: ignore[arg-type]
        self.job.store.retry(self.job.id)
        return self.job.run()

    def sent(self, name: str, *states: AttemptState) -> list[Attempt]:
        names = [item.name for item in self.store.trial(self.id).order.contestants]
        return [
            attempt
            for attempt in self.store.attempts(self.id)
            if names[attempt.place.contestant] == name and (not states or attempt.state in states)
        ]


@pytest.fixture
def start(paths: Paths) -> Iterator[Callable[..., TrialJob]]:
    made: list[TrialJob] = []

    def begin(*arguments: object, **more: object) -> TrialJob:
        made.append(TrialJob(paths, *arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for one in made:
        one.job.close()
        one.store.close()


def priced(paths: Paths, *names: str) -> None:
    lines = [f'[prices."{name}"]\ninput = {DOLLARS_IN}\noutput = {DOLLARS_OUT}\ndate = "2026-11"\n' for name in names]
    paths.settings_file.write_text("".join(lines), encoding="utf-8")


def nano(prompt: int, completion: int) -> int:
    return prompt * round(DOLLARS_IN * 1000) + completion * round(DOLLARS_OUT * 1000)


def test_killed_in_the_middle_it_asks_nothing_twice_and_counts_to_the_token(
    paths: Paths, start: Callable[..., TrialJob], until: Callable[..., object]
) -> None:
    priced(paths, "slow", "limited", "dies")
    with talker(words=8, prompt=11, pause=0.04) as slow, talker(words=9, limited=True) as limited, dying() as dies:
        panel = [endpoint("slow", slow.url), endpoint("limited", limited.url), endpoint("dies", dies.url)]
        trial = start(order(*panel, prompts=4, repeat=2))
        process = trial.job.start()
        until(lambda: len(trial.sent("slow", AttemptState.DONE)) >= 3, what="three answers")
        until(lambda: any(item.text for item in trial.sent("slow", AttemptState.STREAMING)), what="a half answer")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = {item.id: item for item in trial.store.attempts(trial.id) if item.is_answer}
        trial.job.again()
        job = trial.run()

        assert job.state is State.FAILED and job.failure is not None
        assert "8 of 24 answers are missing" in job.failure.summary and "middle of the answer" in job.failure.summary
        now = {item.id: item for item in trial.store.attempts(trial.id)}
        assert all(now[number].text == item.text for number, item in done.items()), "an answer was touched"
        for name, books, words, prompt in (("slow", slow, 8, 11), ("limited", limited, 9, 13)):
            answers = trial.sent(name, AttemptState.DONE)
            assert len(answers) == 8 and len({item.place for item in answers}) == 8
            assert {(item.prompt_tokens, item.completion_tokens, item.counted) for item in answers} == {
                (prompt, words, False)
            }
            assert sum(item.cost or 0 for item in answers) == 8 * nano(prompt, words)
            lost = trial.sent(name, AttemptState.LOST)
            # One that was lost may have been answered by then, or have waited out a rate limit.
            assert 8 <= sum(books.answered.values()) <= 8 + len(lost), "something was asked twice"
            assert all(item.counted for item in lost)
        lost = trial.sent("slow", AttemptState.LOST)
        assert len(lost) == 1 and lost[0].text and 0 < (lost[0].completion_tokens or 0) <= 16
        assert {item.thinking_tokens for item in trial.sent("limited", AttemptState.DONE)} == {2}
        assert all(item.tries >= 2 and item.waited > 0 for item in trial.sent("limited", AttemptState.DONE)[:2])
        failed = trial.sent("dies", AttemptState.FAILED)
        assert len(failed) >= 8 and all(item.text == "I was about to" and item.counted for item in failed)
        assert trial.store.spent(trial.id) == sum(item.cost or 0 for item in now.values())
        seeds = {body["seed"] for body in slow.bodies}
        assert seeds == {0, 1}, "each repeat is another draw, and the same one in a replay"


def test_a_retry_asks_only_what_failed(start: Callable[..., TrialJob]) -> None:
    with talker() as well, dying(deaths=2) as dies:
        trial = start(order(endpoint("well", well.url), endpoint("dies", dies.url), prompts=3))
        assert trial.run().state is State.FAILED
        job = trial.retry()
        assert job.state is State.DONE and job.result["answers"] == 6
        assert set(well.asked.values()) == {1}
        assert sorted(dies.asked.values()) == [1, 2, 2]
        last = newest(trial.store.attempts(trial.id)).values()
        assert all(item.is_answer and item.quality["words"] >= 2 for item in last)


def test_the_spend_cap_holds_before_money_is_spent(paths: Paths, start: Callable[..., TrialJob]) -> None:
    priced(paths, "paid")
    with talker(words=9) as paid, talker() as free:
        # An answer may cost at most 2 x 7 prompt tokens and 64 more: 20,250 billionths; it costs 3,675.
        cap = 0.00003
        trial = start(order(endpoint("paid", paid.url), endpoint("free", free.url), prompts=6, max_cost=cap))
        job = trial.run()
        assert job.failure is not None and "spend cap" in job.failure.summary
        assert sum(free.asked.values()) == 6, "what costs nothing goes on"
        asked = sum(paid.asked.values())
        assert 1 <= asked < 6 and trial.store.spent(trial.id) == asked * nano(13, 9) <= cap * 1e9
        assert len(trial.sent("paid", AttemptState.HELD)) == 6 - asked
        again = trial.retry(max_cost=1.0)
        assert again.state is State.DONE, (again.failure, trial.job.log)
        assert set(paid.asked.values()) == {1} and trial.store.spent(trial.id) == 6 * nano(13, 9)


def test_turns_a_judge_a_key_and_a_strict_provider(
    paths: Paths, start: Callable[..., TrialJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    def guarded(seen: Seen) -> list[Step]:
        if seen.headers.get("authorization") != "Bearer sk-secret-of-the-test":
            return [refusal(401, "no")]
        return [refusal(400, "seed is not supported")] if "seed" in seen.body else said(["fine"], 5)

    def judge(seen: Seen) -> list[Step]:
        return said(["I like the first. ", "VERDICT: A"], 50)

    def embedding(seen: Seen) -> list[Step]:
        rows = [
            {"index": number, "embedding": [1, 0.0] if text == "fine" else [3, 4]}
            for number, text in enumerate(seen.body["input"])
        ]
        body = json.dumps({"data": rows[::-1]}).encode()
        return [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body]

    asked = (Prompt(("one", "two"), expected=("fine",)),)
    with (
        talker() as plain,
        scripted(guarded) as strict,
        scripted(judge) as judging,
        scripted(embedding) as vectors,
    ):
        paths.settings_file.write_text(f'[endpoints.vectors]\nbase_url = "{vectors.address}"\nmodel = "v"\n')
        panel = [endpoint("plain", plain.url), endpoint("strict", strict.address, key_env="STRICT_KEY")]
        monkeypatch.setenv("STRICT_KEY", "sk-secret-of-the-test")
        wanted = order(*panel, asked=asked, judge=endpoint("judge", judging.address), embeddings="vectors")
        trial = start(wanted, keys=("STRICT_KEY",))
        kept = trial.job.job.folder / KEYS_FILE
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        monkeypatch.delenv("STRICT_KEY")  # the runner was started elsewhere
        job = trial.run()
        assert job.state is State.DONE, trial.job.log
        assert not kept.exists()
        for path in [path for path in Path(trial.job.paths.state).rglob("*") if path.is_file()]:
            assert b"sk-secret" not in path.read_bytes(), path
        second = plain.bodies[1]["messages"]
        assert [item["role"] for item in second] == ["user", "assistant", "user"]
        assert second[1]["content"].endswith("one") and second[2]["content"] == "two"
        strict_answers = trial.sent("strict", AttemptState.DONE)
        facts = trial.store.circumstances(trial.id)[strict_answers[-1].circumstances]
        assert facts["left_out"] == ["seed"] and "seed" not in facts["parameters"]
        assert sum("seed" in seen.body for seen in strict.seen) == 1, "a refused parameter is not sent again"
        assert strict_answers[-1].quality["exact"] == 1.0 and "exact" not in strict_answers[0].quality
        assert strict_answers[-1].quality["similarity"] == 1.0
        assert trial.sent("plain", AttemptState.DONE)[-1].quality["similarity"] == 0.6
        assert all(seen.path == "/v1/embeddings" for seen in vectors.seen)
        votes = trial.store.votes(trial.id)
        assert [(vote.voter, vote.outcome, vote.prompt_tokens) for vote in votes] == [("judge", "tie", 100)]
        assert votes[0].facts["straight"] == "one" and votes[0].facts["swapped"] == "other"
        asked_of_judge = [seen.body["messages"][1]["content"] for seen in judging.seen]
        sides = [re.search(r"Answer A:\n(.*?)\n\nAnswer B:\n(.*?)\n\n", text, re.DOTALL) for text in asked_of_judge]
        first, second = [found.groups() for found in sides if found]
        assert first == second[::-1] and first[0] != first[1], "the second time the answers are swapped"
