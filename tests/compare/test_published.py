"""What others published: the hub's evaluation results, through our client and the hub's own, and what offline says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from huggingface_hub import HfApi

from tests.compare.panels import build, endpoint
from tests.local_hub import LocalHub
from tui.catalog.hub import Hub
from tui.compare.published import Published, hub_results
from tui.paths import Paths
from tui.settings import HubSettings, Settings
from tui.workbench import Workbench

RESULTS = b"""
- dataset: {id: cais/hle, task_id: default, revision: 5503434ddd753f426f4b38109466949a1217c2bb}
  value: 20.9
  date: "2025-01-15T10:30:00Z"
  source: {url: "https://huggingface.co/datasets/cais/hle", name: "CAIS HLE", org: cais}
  notes: no-tools
- dataset: {id: Idavidrein/gpqa, task_id: gpqa_diamond}
  value: 0.412345
"""
READ = (
    Published("cais/hle", "no-tools", "20.9", "CAIS HLE", "2025-01-15"),
    Published("Idavidrein/gpqa", "gpqa_diamond", "0.4123"),
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        files = {".eval_results/a.yaml": RESULTS, ".eval_results/b.yaml": b"just words", "README.md": b"# m"}
        hub.add_repo("org/model", files)
        hub.add_repo("org/silent", {"README.md": b"# m"})
        yield hub


def test_the_hub_is_asked_for_the_results_as_its_own_client_asks(server: LocalHub, paths: Paths) -> None:
    own = HfApi(endpoint=server.url).model_info("org/model", expand=["evalResults"]).eval_results
    assert own is not None and [(one.dataset_id, one.value, one.source_name) for one in own] == [
        ("cais/hle", 20.9, "CAIS HLE"),
        ("Idavidrein/gpqa", 0.412345, None),
    ]
    found = hub_results(Hub(paths, Settings()).eval_results("org/model"))
    assert tuple(found) == READ
    asked = [request.line for request in server.matching("GET /api/models/org/model")]
    assert asked[0] == asked[1], "two clients, one question"


def test_results_of_any_shape_are_harmless_lines() -> None:
    good = {"dataset": {"id": "a/b\x1b[1m", "task_id": "t"}, "value": "7\x07"}
    junk = ["x", None, {}, {"dataset": "d", "value": 1}, {"dataset": {"id": "a"}}, {"filename": "f", "error": "bad"}]
    assert hub_results([*junk, good]) == [Published("a/b\ufffd[1m", "t", "7\ufffd")]


def test_a_contestant_has_its_models_results_or_a_reason(server: LocalHub, paths: Paths) -> None:
    bench = Workbench(paths)
    trials, hub = bench.trials(), Hub(paths, replace(Settings(), hub=HubSettings(timeout=1.0)))
    found = trials.published_at(hub, build("b", model="org/model"))
    assert found.results == READ and not found.note and len(found.asked) == 10
    assert trials.published_at(hub, build("b", model="org/silent")).note == "it has none for org/silent"
    server.requests.clear()
    assert "no repository" in trials.published_at(hub, endpoint("lab")).note
    assert "no repository" in trials.published_at(hub, build("b", model="made-here")).note
    assert not server.requests, "who has no repository is not asked for"
    server.fault("GET /api/models/", "hang")
    late = trials.published_at(hub, build("b", model="org/model"))
    assert "did not answer within 1 s" in late.note and late.results == ()
    offline = Hub(paths, Settings(), {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": server.url})
    assert "offline" in trials.published_at(offline, build("b", model="org/model")).note.lower()
    bench.close()
