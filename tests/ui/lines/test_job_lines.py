from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tui.jobs.job import Failure, Job, Kind, Needs, Progress, State, Want
from tui.ui.lines.job_facts import job_facts
from tui.ui.lines.job_lines import (
    JobRow,
    job_height,
    job_lines,
    loss_line,
    progress_words,
    queue_counts,
    queue_rows,
    state_word,
)
from tui.ui.lines.span import plain, width_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def job(number: int = 1, state: State = State.QUEUED, **changes: object) -> Job:
    plain_job = Job(
        id=number, key=str(number), kind=Kind.DOWNLOAD, state=state, model="some-model", spec={}, needs=Needs(),
        after=(), plan="", priority=0, want=None, attempt=1, deaths=0, device="", progress=Progress(),
        waiting_because="", failure=None, result={}, created=START, started=START, ended=None, revision=number,
        folder=Path("/nowhere"),
    )  # fmt: skip
    return replace(plain_job, **changes)  # type: ignore[arg-type]


def shown(item: Job, width: int = 70) -> str:
    return "\n".join(plain(row) for row in job_lines(JobRow(item), width, START + timedelta(minutes=3)))


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("width", [20, 44, 78, 150])
def test_every_state_is_drawn_within_the_width(state: State, width: int) -> None:
    item = job(state=state, failure=Failure("a long reason " * 8), waiting_because="GPU 0 is full " * 5)
    rows = job_lines(JobRow(item, 2), width)
    assert all(width_of(row) <= width for row in rows)
    assert len(rows) == job_height(JobRow(item))


def test_glyphs_of_states_differ_so_that_colour_is_not_needed() -> None:
    glyphs = [shown(job(state=state))[0] for state in State]
    assert len(set(glyphs)) == len(State)


def test_a_running_download_says_amount_rate_and_time_left() -> None:
    item = job(state=State.RUNNING, progress=Progress(412e6, 988e6, "B", 38e6, 15.2, "model.safetensors"))
    assert "42%" in shown(item)
    assert "412 / 988 MB · 38.0 MB/s · 15s left" in shown(item, 90)
    assert "15s left" in shown(item, 44)


def test_a_waiting_job_says_why() -> None:
    assert "GPU 0 has 14.1 of 19.2 GB needed" in shown(job(waiting_because="GPU 0 has 14.1 of 19.2 GB needed"))


def test_a_failed_job_says_what_happened() -> None:
    assert "disk full" in shown(job(state=State.FAILED, failure=Failure("disk full", "free some")))


def test_what_was_asked_shows_before_it_is_done() -> None:
    assert state_word(job(state=State.RUNNING, want=Want.CANCEL)) == "stopping"
    assert "pausing" in shown(job(state=State.RUNNING, want=Want.PAUSE))


def test_chains_stay_together_and_what_is_alive_comes_first() -> None:
    jobs = [
        job(1, State.DONE),
        job(2, State.DONE, plan="p"),
        job(3, State.RUNNING, plan="p", kind=Kind.QUANTIZE),
        job(4, State.QUEUED, plan="p", kind=Kind.SERVE),
        job(5, State.QUEUED),
        job(6, State.FAILED),
    ]
    rows = queue_rows(jobs)
    assert [(row.job.id, row.depth) for row in rows] == [(2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (1, 0)]


def test_a_recipe_is_told_in_words() -> None:
    item = job(kind=Kind.QUANTIZE, spec={"recipe": {"bits": 4, "group_size": 128}})
    assert "some-model → 4-bit g128" in shown(item)


def test_a_quantize_job_shows_its_losses_and_its_memory() -> None:
    details = {"losses": [0.001, 0.01, 0.1, 1.0], "memory": 2_000_000_000}
    item = job(
        kind=Kind.QUANTIZE,
        state=State.RUNNING,
        progress=Progress(4, 12, "layers", 0.3, 66, "layer 5 of 12: mlp.up_proj", details),
    )
    assert "loss ▁▃▆█" in shown(item, 150)
    assert "2.00 GB" in shown(item, 150)
    assert "loss" not in shown(item, 50) and "1m 06s left" in shown(item, 50)
    assert loss_line(Progress(details={"losses": [0.5]}), 20) == ()


def test_a_finished_build_says_what_it_lost() -> None:
    quality = {"perplexity_before": 10.0, "perplexity_after": 13.0}
    item = job(kind=Kind.QUANTIZE, state=State.DONE, result={"bytes": 10, "quality": quality, "flagged": True})
    assert "+30.0% perplexity !" in shown(item, 100)


def test_a_dry_run_says_what_the_whole_would_take() -> None:
    result = {
        "dry_run": True, "layers": 32, "layer_seconds": 12.4, "predicted_seconds": 420.0,
        "predicted_cpu_seconds": 600.0, "predicted_memory": 2 * 10**9, "predicted_bytes": 10**9, "busy": True,
    }  # fmt: skip
    item = job(kind=Kind.QUANTIZE, state=State.DONE, result=result)
    assert "would take 7m 00s" in shown(item, 100)
    text = "\n".join(plain(row) for row in job_facts(item, (), 120))
    assert "about 7m 00s (10m 00s of processor time), 2.00 GB of memory, 1.00 GB on disk" in text
    assert "one layer of 32 took 12.4 s" in text and "without them it takes less" in text
    assert "predicted" not in text


def test_counts_in_the_title_leave_out_zeros() -> None:
    assert queue_counts([]) == ""
    assert queue_counts([job(1, State.RUNNING), job(2, State.FAILED), job(3)]) == "▸1 ○1 ✗1"


def test_progress_without_numbers_says_the_step() -> None:
    assert progress_words(Progress(message="loading weights")) == "loading weights"
    assert progress_words(Progress(12, 32, "layers", 0.3, 66)) == "12 of 32 layers · 1m 06s left"


def test_each_file_that_is_fetched_has_a_bar_of_its_own() -> None:
    now = [["model-1.safetensors", 5_000_000, 10_000_000], ["model-2.safetensors", 0, 10_000_000]]
    item = job(state=State.RUNNING, progress=Progress(5e6, 20e6, "B", details={"now": now}))
    text = "\n".join(plain(row) for row in job_facts(item, (), 100))
    assert "model-1.safetensors" in text and "5.00 of 10.0 MB" in text.replace("5.00 MB of", "5.00 of")
    assert all(width_of(row) <= 80 for row in job_facts(item, (), 80)[:6])


def test_a_frozen_process_is_told_instead_of_its_last_speed() -> None:
    stopped = "its process 12 is stopped; kill -CONT 12 lets it go on"
    item = job(state=State.RUNNING, progress=Progress(5e6, 20e6, "B", 9e6, 2.0), waiting_because=stopped)
    assert stopped in shown(item, 90) and "9.00 MB/s" not in shown(item, 90)
    assert f"held up: {stopped}" in "\n".join(plain(row) for row in job_facts(item, (), 100))


def test_a_narrow_pane_keeps_what_a_job_made_and_lets_go_of_what_it_took() -> None:
    item = job(
        state=State.DONE,
        kind=Kind.QUANTIZE,
        model="heft-starter",
        spec={"recipe": {"bits": 4, "group_size": 128}},
        result={"bytes": 3_400_000, "quality": {"perplexity_before": 10.0, "perplexity_after": 10.2}},
        ended=START + timedelta(minutes=2),
    )
    assert "+2.0% perplexity · 3.40 MB · 2m 00s" in shown(item, 90)
    assert "heft-starter → 4-bit g128" in shown(item, 44) and shown(item, 44).endswith("+2.0%")
