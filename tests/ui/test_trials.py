"""Trials on screen: a new one, columns that stream, tabs where it is narrow, differences, blind votes, the board."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.compare.panels import build, endpoint, order
from tests.local_hub import LocalHub
from tests.ui.conftest import idle, screen_text
from tui.catalog.hub import Hub
from tui.compare.trial import AttemptState, Place, Prompt, Standing, Trial
from tui.jobs.job import JobRequest, Kind, Progress, State
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.ui.lines.span import plain
from tui.ui.lines.trial_lines import Column, head_lines, short_names
from tui.ui.screens.board_screen import BoardScreen
from tui.ui.screens.new_trial_screen import NewTrialScreen
from tui.ui.screens.trial_screen import TrialScreen
from tui.ui.screens.trials_screen import TrialsScreen
from tui.ui.screens.vote_screen import VoteScreen
from tui.workbench import Workbench

NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(autouse=True)
def endpoints(paths: Paths) -> Iterator[None]:
    """Three endpoints of the user's, at which nobody listens: the runner stays at home."""
    table = "".join(f'[endpoints.{name}]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n' for name in NAMES)
    paths.settings_file.write_text(table, encoding="utf-8")
    yield


def begun(bench: Workbench, *prompts: str, repeat: int = 1) -> Trial:
    panel = [bench.trials().contestant(name) for name in NAMES]
    trial, job = bench.compare(order(*panel, asked=tuple(Prompt((text,)) for text in prompts), repeat=repeat))
    assert job.kind is Kind.COMPARE and job.state is State.QUEUED
    return trial


def answer(bench: Workbench, trial: Trial, place: Place, text: str, **more: object) -> int:
    store = bench.trials().store
    attempt = store.begin(trial.id, place, {"model": "m", "versions": {"heft": "9"}})
    known = {"prompt_tokens": 7, "completion_tokens": 11, "time_to_first_token": 0.25, "seconds": 1.5, "cost": 0}
    store.finish(attempt, state=AttemptState.DONE, text=text, **{**known, **more})
    return attempt


async def test_a_new_trial_is_planned_before_it_starts(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("X")
        await idle(pilot, lambda: "No trial yet" in screen_text(app))
        await pilot.press("n")
        await idle(pilot, lambda: isinstance(app.screen, NewTrialScreen) and "alpha" in screen_text(app))
        await pilot.press("enter")
        assert "2 more are needed" in app.notes[-1].text
        await pilot.press(*"why", "tab", "space", "down", "space")
        await idle(pilot, lambda: "from the start, side by side: alpha, beta" in screen_text(app))
        assert "$0 likely, $0 at most, stops at $1" in screen_text(app)
        await pilot.press("enter")
        await idle(pilot, lambda: isinstance(app.screen, TrialScreen) and "why" in screen_text(app))
        job = next(job for job in workbench.jobs() if job.kind is Kind.COMPARE)
        wanted = workbench.trials().store.trial(int(job.spec["trial"])).order
        assert [item.name for item in wanted.contestants] == ["alpha", "beta"]
        assert wanted.max_cost == 1.0 and wanted.parameters.max_tokens == 512 and wanted.parameters.seed == 0
        await pilot.press("escape", "X")
        await idle(pilot, lambda: isinstance(app.screen, TrialsScreen) and "alpha, beta" in screen_text(app))


async def test_columns_stream_at_once_and_each_fails_alone(app: HeftApp, workbench: Workbench) -> None:
    trial = begun(workbench, "what is it?")
    store = workbench.trials().store
    async with app.run_test(size=(160, 30), notifications=True) as pilot:
        await idle(pilot)
        app.open_trial(trial.id)
        await idle(pilot, lambda: isinstance(app.screen, TrialScreen) and "what is it?" in screen_text(app))
        assert screen_text(app).count("waits") >= 3
        streaming = store.begin(trial.id, Place(0, 0), {})
        answer(workbench, trial, Place(1, 0), "It is done.", quality={"exact": 1.0, "words": 3})
        failed = store.begin(trial.id, Place(2, 0), {})
        store.finish(failed, state=AttemptState.FAILED, text="half of", problem="gamma went away", hint="try again")
        for text in ("It", "It is str", "It is streaming"):
            store.stream({streaming: {"text": text, "completion_tokens": len(text)}})
            await idle(pilot, lambda text=text: f" {text} " in screen_text(app))
        shown = screen_text(app)
        for words in ("▸ answers", "It is done.", "✓ exact", "✗ failed", "half of", "gamma went away", "first 0.25s"):
            assert words in shown, words
        assert "1 of 3 answers" in shown
        await pilot.press("t")
        await idle(pilot, lambda: "first token" in screen_text(app))
        assert "✗ gamma: gamma went away" in screen_text(app) and "0/1 ✗1" in screen_text(app)
        await pilot.press("escape")
        await idle(pilot, lambda: "It is done." in screen_text(app))


async def test_tabs_on_a_narrow_screen_with_zoom_wrap_differences_and_copy(app: HeftApp, workbench: Workbench) -> None:
    trial = begun(workbench, "first question", "second question", repeat=2)
    long = "one two three four five six seven eight nine ten eleven twelve"
    answer(workbench, trial, Place(0, 0), long)
    answer(workbench, trial, Place(1, 0), long.replace("five", "FIVE"))
    answer(workbench, trial, Place(2, 0), "the last one")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        app.open_trial(trial.id)
        await idle(pilot, lambda: "prompt 1 of 2 · repeat 1 of 2" in screen_text(app))
        shown = screen_text(app)
        assert "✓ alpha" in shown and "✓ gamma" in shown and "the last one" not in shown, "two columns have room"
        await pilot.press("right", "right")
        await idle(pilot, lambda: "the last one" in screen_text(app))
        await pilot.press("left", "z")
        await idle(pilot, lambda: "one two three four FIVE six seven" in screen_text(app))
        await pilot.press("w")
        await idle(pilot, lambda: "not wrapped" in screen_text(app))
        await pilot.press("w", "z", "left", "d")
        await idle(pilot, lambda: "words that are not in alpha" in screen_text(app))
        marked = [span for row in app.screen.query_one("#answers").lines for span in row if span.role == "match"]
        assert [span.text for span in marked] == ["FIVE"]
        await pilot.press("y")
        await idle(pilot, lambda: any("answer copied" in note.text for note in app.notes))
        assert (workbench.paths.state / "copied.txt").read_text() == long
        await pilot.press("i")
        await idle(pilot, lambda: "What alpha ran on" in screen_text(app) and "heft 9" in screen_text(app))
        await pilot.press("escape", "n", "n")
        await idle(pilot, lambda: "prompt 2 of 2" in screen_text(app) and "second question" in screen_text(app))
        await pilot.press("r")
        assert "still at work" in app.notes[-1].text


async def test_the_ladder_marks_the_first_token_that_differs(app: HeftApp, workbench: Workbench) -> None:
    wanted = order(build("full"), build("four", precision="gptq-4bit-g128", bits=4))
    trial = workbench.trials().store.start(wanted, "ladder")
    answer(workbench, trial, Place(0, 0), "the weights are stored exactly")
    parted = {"token": 3, "character": 15, "unit": "token", "tokens": 5, "against": "full"}
    answer(workbench, trial, Place(1, 0), "the weights are kept nearly exactly", quality={"divergence": parted})
    async with app.run_test(size=(120, 24), notifications=True) as pilot:
        await idle(pilot)
        app.open_trial(trial.id)
        await idle(pilot, lambda: "differs at token 4 of 5" in screen_text(app))
        assert "full 16-bit" in screen_text(app) and "four 4-bit" in screen_text(app)
        long = Column(build("a-model-with-a-long-name-gptq-4bit-g128", bits=4), None, Standing(), False)
        assert plain(head_lines(long, 30)[0]) == " a-model-with-a-long-na… 4-bit", "the bits are not cut off"
        spans = [span for row in app.screen.query_one("#answers").lines for span in row]
        assert [span.text.strip() for span in spans if span.role == "match"] == ["kept"]
        assert "".join(span.text for span in spans if span.role == "warn").split() == ["nearly", "exactly"]


def test_builds_of_one_model_are_told_apart_in_few_cells() -> None:
    names = ["heft-starter", "heft-starter-gptq-4bit-g128", "tiny-gpt2", "slow"]
    assert short_names(names, 9) == ["hef…arter", "hef…-g128", "tiny-gpt2", "slow"]
    assert short_names(names, 12) == ["heft-starter", "heft-starte…", "tiny-gpt2", "slow"]


async def test_published_results_name_their_source_and_the_hub_is_asked_by_who_looks(
    app: HeftApp, workbench: Workbench
) -> None:
    with LocalHub() as hub:
        workbench.hub = Hub(workbench.paths, workbench.settings, {"HF_ENDPOINT": hub.url})
        results = b'[{dataset: {id: a/b, task_id: t}, value: 0.5, date: "2026-01-02", source: {url: u, name: Lab}}]'
        hub.add_repo("org/model", {".eval_results/a.yaml": results})
        trial = workbench.trials().store.start(order(build("full", model="org/model"), build("own")), "published")
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await idle(pilot)
            app.open_trial(trial.id)
            await idle(pilot, lambda: "full" in screen_text(app))
            assert not hub.requests
            await pilot.press("i")
            await idle(pilot, lambda: "Published at the hub  not measured here, asked" in screen_text(app))
            assert "     0.5  a/b  t  Lab  2026-01-02" in screen_text(app)
            await pilot.press("i", "right", "i")
            await idle(pilot, lambda: "its model has no repository at the hub" in screen_text(app))
            await pilot.press("left")
            await idle(pilot, lambda: "Lab  2026-01-02" in screen_text(app))
            assert len(hub.requests) == 1


async def test_votes_are_blind_until_they_are_cast(app: HeftApp, workbench: Workbench) -> None:
    trial = begun(workbench, "which one?")
    for number, text in enumerate(("aaa", "bbb", "ccc")):
        answer(workbench, trial, Place(number, 0), text)
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await idle(pilot)
        app.open_trial(trial.id)
        await idle(pilot, lambda: "which one?" in screen_text(app))
        await pilot.press("v")
        await idle(pilot, lambda: isinstance(app.screen, VoteScreen) and "pair 1 of 3" in screen_text(app))
        screen = app.screen
        assert isinstance(screen, VoteScreen)
        pair = screen.pairs[0]
        assert pair.left.text in screen_text(app) and pair.right.text in screen_text(app)
        assert not any(name in screen_text(app) for name in NAMES), "a name shows before the vote"
        await pilot.press("b")
        await idle(pilot, lambda: f"B won: A was {pair.left_name}, B was {pair.right_name}" in screen_text(app))
        await pilot.press("x", "t")
        await idle(pilot, lambda: "Every pair has a vote" in screen_text(app))
        kept = workbench.trials().store.votes(trial.id)
        assert sorted(vote.outcome for vote in kept) == sorted(["neither", "tie", kept[0].outcome])
        assert pair.right_name == (kept[0].one if kept[0].outcome == "one" else kept[0].other)
        await pilot.press("escape", "b")
        await idle(pilot, lambda: isinstance(app.screen, BoardScreen) and "3 votes" in screen_text(app))
        assert "not settled" in screen_text(app)


async def test_a_trial_is_opened_from_the_queue_and_deleted_from_the_list(app: HeftApp, workbench: Workbench) -> None:
    trial = begun(workbench, "from the queue")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot, lambda: bool(workbench.jobs()))
        await pilot.press("3")
        await idle(pilot, lambda: "from the queue" in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: isinstance(app.screen, TrialScreen))
        await pilot.press("escape", "X")
        await idle(pilot, lambda: isinstance(app.screen, TrialsScreen) and "alpha" in screen_text(app))
        assert "▸ from the queue" in screen_text(app), "one that waits has not failed, whatever failed in it"
        failing = workbench.trials().store.begin(trial.id, Place(0, 0), {})
        workbench.trials().store.finish(failing, state=AttemptState.FAILED, problem="no")
        answer(workbench, trial, Place(1, 0), "yes")
        await idle(pilot, lambda: "▸ from the queue" in screen_text(app) and "1/3" in screen_text(app))
        await pilot.press("x", "y")
        await idle(pilot, lambda: any("under way" in note.text for note in app.notes))
        job = workbench.trials().job_of(trial)
        assert job is not None
        workbench.cancel(job.id)
        await idle(pilot, lambda: "✗ from the queue" in screen_text(app))
        await pilot.press("x", "y")
        await idle(pilot, lambda: "No trial yet" in screen_text(app))


def test_hostile_names_and_texts_stay_plain() -> None:
    from tui.compare.trial import Standing
    from tui.ui.lines.span import plain
    from tui.ui.lines.trial_lines import Column, head_lines, tabs_line

    column = Column(replace(endpoint("x"), name="bad\x1b[2Jname[red]"), None, Standing(note="n\x07"), True)
    text = "".join(plain(row) for row in [*head_lines(column, 60), tabs_line([column], 60)])
    assert "\x1b" not in text and "\x07" not in text and "name[red]" in text


async def test_the_hosts_of_a_trial_are_not_told_one_by_one(app: HeftApp, workbench: Workbench) -> None:
    trial = begun(workbench, "quietly")
    assert trial.job is not None
    hosts = [workbench.store.submit(JobRequest(Kind.SERVE, name, {"build": name})) for name in ("ours", "users")]
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        claimed = workbench.store.claim(trial.job, "")
        assert claimed is not None
        workbench.store.report(trial.job, claimed.attempt, Progress(0, 3, "answers", details={"hosts": [hosts[0].id]}))
        for host in hosts:
            begun_host = workbench.store.claim(host.id, "cpu")
            assert begun_host is not None
            workbench.store.mark_ready(host.id, begun_host.attempt, {"build": host.model, "base_url": "unix:/none"})
        await idle(pilot, lambda: any("users is loaded" in note.text for note in app.notes))
        assert not any("ours is loaded" in note.text for note in app.notes)


async def test_a_form_that_opens_before_the_workbench_fills_when_it_is_there(paths: Paths) -> None:
    opened = threading.Event()

    def factory() -> Workbench:
        opened.wait(20)
        return Workbench(paths)

    app = HeftApp(factory=factory)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press("X", "n")
        await pilot.pause()
        assert isinstance(app.screen, NewTrialScreen) and "looking who can answer" in screen_text(app)
        opened.set()
        await idle(pilot, lambda: "alpha" in screen_text(app))
    assert app.workbench is not None
    app.workbench.close()
