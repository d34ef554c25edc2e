"""One quantization of a GGUF repository that has many: asked for by name, fetched alone, and a build of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.catalog.gguf_bytes import LLAMA, gguf_bytes
from tests.local_hub import LocalHub
from tui.catalog.library import Library
from tui.errors import NotFoundError
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.ui.lines.model_facts import file_lines
from tui.workbench import Workbench
from tui.workers import download
from tui.workers.reporter import Reporter

REPO = "org/tiny-GGUF"
EIGHT = gguf_bytes({**LLAMA, "general.file_type": 7}, {"token_embd.weight": (8, (64, 300))})
FILES = {
    "README.md": b"# tiny",
    "tiny-Q4_0.gguf": gguf_bytes(),
    "tiny-Q8_0.gguf": EIGHT,
    "F16/tiny-F16-00001-of-00002.gguf": gguf_bytes(),
    "F16/tiny-F16-00002-of-00002.gguf": gguf_bytes(),
}


@pytest.fixture
def pull(reporter: Callable[..., Reporter], hub: LocalHub) -> Callable[[str], dict]:
    hub.add_repo(REPO, FILES)

    def run(wanted: str) -> dict:
        spec = {"model": REPO, "repo": REPO, "revision": "", **({"gguf": wanted} if wanted else {})}
        return download.run(reporter(Kind.DOWNLOAD, spec))

    return run


def test_the_asked_quantization_is_fetched_alone(pull: Callable[[str], dict], paths: Paths, hub: LocalHub) -> None:
    result = pull("q8_0")
    assert result["build"] == REPO and result["bytes"] == len(EIGHT) + 6
    assert not hub.matching("GET .*Q4_0")
    assert [build.precision for build in Library(paths).builds()] == ["gguf-q8_0"]
    parts = pull("f16")
    assert parts["build"] == f"{REPO}:f16" and Path(parts["path"]).name == "tiny-F16-00001-of-00002.gguf"
    assert parts["bytes"] == 2 * len(gguf_bytes()) + 6
    assert {build.id for build in Library(paths).builds()} == {f"{REPO}:f16", f"{REPO}:q8_0"}


def test_without_a_wish_it_is_four_bits(pull: Callable[[str], dict], paths: Paths) -> None:
    pull("")
    assert [build.precision for build in Library(paths).builds()] == ["gguf-q4_0"]


def test_a_name_says_the_quantization_and_what_is_not_there_is_refused_with_the_list(
    pull: Callable[[str], dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.workbench.work.ensure_runner", lambda paths: None)
    bench = Workbench()
    job = bench.pull(bench.model(f"{REPO}:Q8_0"))
    assert (job.spec["repo"], job.spec["gguf"]) == (REPO, "q8_0")
    assert bench.preflight(bench.model(f"{REPO}:q8_0")).download == len(EIGHT) + 6
    with pytest.raises(NotFoundError) as caught:
        bench.pull(bench.model(f"{REPO}:q5_k_m"))
    assert "q4_0" in caught.value.hint and "q8_0" in caught.value.hint and "f16" in caught.value.hint
    lines = file_lines(bench.files(bench.model(REPO)), 200)
    assert any("q8_0 " in "".join(span.text for span in row) and "chooses one" in row[-1].text for row in lines)
    known = bench.known(bench.model(f"{REPO}:q4_0"))
    assert (known.context_length, known.shape.layers, known.shape.kv_heads) == (4096, 2, 2)
    fit = bench.fit(known, context=1000)
    assert fit.weights == len(gguf_bytes()) and fit.kv_cache == 2 * 64 * 2 * 1000 and fit.precision == "gguf-q4_0"
    bench.close()
