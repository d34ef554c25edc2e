"""A host that dies: a card in the conversation, three ways out by one key each, and the app goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.ui.conftest import idle, screen_text
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.jobs.job import Failure, Job, JobRequest, Kind, Needs, State
from tui.starter import starter_folder
from tui.ui.app import HeftApp
from tui.ui.panes.chat_pane import ChatPane
from tui.workbench import Workbench


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    endpoint = TalkingEndpoint(["Half of it"])
    yield endpoint
    endpoint.close()


def host(workbench: Workbench, url: str) -> tuple[Job, int]:
    """A serve job of the starter that is ready, by its id and attempt."""
    folder = workbench.paths.builds / "heft-starter"
    folder.symlink_to(starter_folder())
    spec = {"build": "heft-starter", "path": str(folder), "context": 1024}
    job = workbench.store.submit(JobRequest(Kind.SERVE, "heft-starter", spec, Needs(device="cpu", memory=1)))
    claimed = workbench.store.claim(job.id, "cpu")
    assert claimed is not None
    result = {"build": "heft-starter", "model": "heft-starter", "base_url": url, "device": "cpu", "context": 1024}
    workbench.store.mark_ready(job.id, claimed.attempt, result)
    return job, claimed.attempt


async def test_a_host_out_of_memory_becomes_a_card_with_ways_out(
    app: HeftApp, workbench: Workbench, talker: TalkingEndpoint
) -> None:
    talker.hold = threading.Event()
    job, attempt = host(workbench, talker.url)
    async with app.run_test(size=(120, 60), notifications=True) as pilot:
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press("4", *"Tell me", "enter")
        while "Half of it" not in screen_text(app):
            await pilot.pause(0.02)
        workbench.store.fail(job.id, attempt, Failure("out of memory: 1.2 GB wanted, 0.3 GB free", "a shorter context"))
        talker.break_off()
        await idle(
            pilot, lambda: "does not answer any more" in screen_text(app) and not app.query_one(ChatPane).streaming
        )
        shown = screen_text(app)
        for part in (
            "Half of it",
            "out of memory: 1.2 GB wanted, 0.3 GB free",
            "s shorter context: 512 tokens instead of 1,024",
            "b smaller precision",
            "d other device: this machine has no other device",
        ):
            assert part in shown, part
        await pilot.press("d")
        await pilot.pause()
        assert "no other device" in app.notes[-1].text
        await pilot.press("s")
        await idle(pilot, lambda: any(one.state is State.QUEUED for one in workbench.jobs()))
        again = next(one for one in workbench.jobs() if one.state is State.QUEUED)
        assert again.spec["context"] == 512 and again.id in app.awaited
        kept = workbench.transcripts().conversation(app.conversation)
        assert kept.messages[-1].content == "Half of it"


async def test_a_host_that_died_is_loaded_again_as_it_was(
    app: HeftApp, workbench: Workbench, talker: TalkingEndpoint
) -> None:
    job, attempt = host(workbench, talker.url)
    async with app.run_test(size=(120, 60), notifications=True) as pilot:
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press("4", *"Tell me", "enter")
        await idle(pilot, lambda: len(app.messages) == 2 and not app.query_one(ChatPane).streaming)
        workbench.store.fail(job.id, attempt, Failure("killed"))
        await idle(pilot, lambda: "r load it again as it was" in screen_text(app))
        await pilot.press("r")
        await idle(pilot, lambda: any(one.state is State.QUEUED for one in workbench.jobs()))
        assert next(one for one in workbench.jobs() if one.state is State.QUEUED).spec["context"] == 1024
        assert "is being loaded" in screen_text(app) and "Half of it" in screen_text(app)


async def test_a_base_model_says_that_it_only_continues_text(
    app: HeftApp, workbench: Workbench, talker: TalkingEndpoint
) -> None:
    job, attempt = host(workbench, talker.url)
    result = {"build": "b", "model": "b", "base_url": talker.url, "context": 512, "chat_template": False}
    workbench.store.fail(job.id, attempt, Failure("gone"))
    base = workbench.store.submit(JobRequest(Kind.SERVE, "b", {"build": "b"}))
    claimed = workbench.store.claim(base.id, "cpu")
    assert claimed is not None
    workbench.store.mark_ready(base.id, claimed.attempt, result)
    async with app.run_test(size=(160, 50), notifications=True) as pilot:
        await idle(pilot, lambda: "base model: it has no chat template" in screen_text(app))
