"""``heft builds --all`` and ``heft prune`` on a cache that a real download filled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.heft import Heft
from tests.local_hub import LocalHub, safetensors

FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": safetensors(400_000, seed=1)}


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as local:
        local.add_repo("org/model", FILES)
        yield local


@pytest.fixture
def heft(tmp_path: Path, hub: LocalHub) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home", **hub.environment)
    yield machine
    machine.end_everything()


def test_other_programs_find_what_was_pulled_without_a_network(heft: Heft, hub: LocalHub) -> None:
    assert heft("pull", "org/model").code == 0
    (cache,) = heft.home.rglob("hub/models--org--model")
    program = "from huggingface_hub import snapshot_download as get; print(get('org/model', local_files_only=True))"
    environment = {**os.environ, "HF_HUB_CACHE": str(cache.parent), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(cache / "snapshots" / hub.repos["org/model"].refs["main"])


def test_a_new_revision_replaces_the_old_one_and_prune_deletes_it(heft: Heft, hub: LocalHub) -> None:
    assert heft("pull", "org/model").code == 0
    hub.add_repo("org/model", {**FILES, "model.safetensors": safetensors(400_000, seed=2)})
    assert heft("pull", "org/model").code == 0
    use = heft("builds", "--all", "--json").document
    assert sorted(build["refs"] for build in use["builds"]) == [[], ["main"]]
    assert all(build["last_used"] for build in use["builds"])
    (left,) = heft("prune", "--dry-run", "--json").document
    assert (left["kind"], left["kept_because"]) == ("revision", "") and Path(left["path"]).exists()
    words = heft("builds", "--all").out
    assert "LAST USED" in words and "heft prune frees" in words
    (gone,) = heft("prune", "--json").document
    assert gone["path"] == left["path"] and not Path(left["path"]).exists()
    assert [build["problem"] for build in heft("builds", "--json").document] == [""]
    assert heft("prune", "--json").document == []


def test_a_gate_is_told_before_anything_is_queued(heft: Heft, hub: LocalHub) -> None:
    hub.tokens["hf_stranger_stranger"] = "eve"
    hub.add_repo("org/gated", FILES, gated="auto")
    for token, words in (("", "no token is set"), ("hf_stranger_stranger", "your token has no access to it yet")):
        heft.environment.pop("HF_TOKEN", None)
        heft.environment.update({"HF_TOKEN": token} if token else {})
        refused = heft("pull", "org/gated", "--json")
        assert refused.code == 4 and words in refused.err and f"{hub.url}/org/gated" in refused.err
    assert heft("jobs", "--json").document == []


def test_a_mirror_that_cannot_be_asked_about_its_gate_is_tried(heft: Heft, hub: LocalHub) -> None:
    hub.tokens["hf_reader_reader"] = "ann"
    hub.add_repo("org/gated", FILES, gated="auto", readers=("hf_reader_reader",))
    hub.fault("GET /api/models/org/gated/auth-check", "status", code=404)
    heft.environment["HF_TOKEN"] = "hf_reader_reader"
    assert heft("pull", "org/gated").code == 0
