"""What the catalog costs: loading it cold and warm against bare tomllib, a keystroke over 100,000 rows, the library.

    python tests/benchmarks/catalog_load.py

All figures are milliseconds of one run on this machine; the best of several repetitions, because others share it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tests.catalog.folders import safetensors_bytes
from tui.catalog.build_folder import _examine
from tui.catalog.catalog_file import load_catalog, shipped_models_file
from tui.catalog.library import Library, write_provenance
from tui.catalog.model import Model, ModelFilter
from tui.catalog.search import ModelIndex, search
from tui.paths import Paths

ROWS = 100_000
BUILDS = 20
TENSORS = 1000
"""Tensors in each build's header: about a quantized 8B model."""


def best(work: Callable[[], object], times: int = 7, before: Callable[[], object] = lambda: None) -> float:
    """Milliseconds of the fastest of ``times`` calls."""
    seconds = []
    for _ in range(times):
        before()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds) * 1000


def show(name: str, milliseconds: float) -> None:
    """One line of the table."""
    print(f"{name:<58}{milliseconds:>10.2f} ms")


def measure_loading(paths: Paths) -> None:
    """Cold, warm, and the two parsers that could have been used as they are."""
    content = shipped_models_file().read_bytes()
    print(f"models.toml: {len(content) / 1000:.0f} kB, {len(load_catalog(paths).models)} rows")
    show("tomllib.loads alone", best(lambda: tomllib.loads(content.decode())))
    cache = paths.data / "cache"
    show("load_catalog, cold (no cache)", best(lambda: load_catalog(paths), before=lambda: shutil.rmtree(cache)))
    show("load_catalog, warm", best(lambda: load_catalog(paths)))
    body = (cache / "shipped-models.json").read_bytes().partition(b"\n")[2]
    show("json.loads of the cache alone", best(lambda: json.loads(body)))
    script = "from tui.paths import Paths; from tui.catalog.catalog_file import load_catalog; "
    for name, code in (
        ("a bare interpreter", "pass"),
        ("a process that loads the catalog, warm", script + "load_catalog(Paths.from_environment())"),
    ):
        show(name, best(lambda code=code: subprocess.run([sys.executable, "-c", code], check=True), times=5))  # type: ignore[misc]


def measure_keystrokes(paths: Paths) -> None:
    """Typing "llama 8b" a character at a time over many rows."""
    shipped = load_catalog(paths).models
    rows = tuple(
        Model(
            id=f"org{number % 5000}/{model.id}-{number}",
            name=f"{model.name} {number}",
            repo=f"org{number % 5000}/{model.id}-{number}",
            family=model.family,
            vendor=f"org{number % 5000}",
            kind=model.kind,
            license=model.license,
            params=model.params,
            downloads=number * 7919 % 1_000_003,
        )
        for number in range(ROWS)
        for model in (shipped[number % len(shipped)],)
    )
    print(f"\n{len(rows)} rows")
    show("preparing the list, once", best(lambda: ModelIndex(rows), times=3))
    search(rows, ModelFilter(text="x"))
    for length in range(1, len("llama 8b") + 1):
        text = "llama 8b"[:length]
        hits = len(search(rows, ModelFilter(text=text)))
        show(f"text {text!r}, by relevance, {hits} hits", best(lambda text=text: search(rows, ModelFilter(text=text))))  # type: ignore[misc]
    show("text 'zzz', no hit", best(lambda: search(rows, ModelFilter(text="zzz"))))
    show(
        "task chat, licence apache, <= 8B, no text",
        best(lambda: search(rows, ModelFilter(task="chat", license="apache", max_params=8_000_000_000))),
    )
    show("all rows sorted by downloads", best(lambda: search(rows, ModelFilter(sort="downloads"))))
    show("327 rows, text 'llama'", best(lambda: search(shipped, ModelFilter(text="llama"))))


def measure_library(paths: Paths) -> None:
    """Listing builds whose headers are as long as real ones."""
    weights = safetensors_bytes({f"model.layers.{number}.self_attn.weight": ("F16", [2]) for number in range(TENSORS)})
    for number in range(BUILDS):
        folder = paths.builds / f"build-{number}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        (folder / "model.safetensors").write_bytes(weights)
        write_provenance(folder, {"model": "x"})
    library = Library(paths)
    assert all(not build.problem for build in library.builds())
    print(f"\n{BUILDS} builds of {TENSORS} tensors")
    show("Library.builds, first time in a process", best(library.builds, before=_examine.cache_clear))
    show("Library.builds, again", best(library.builds))


def main() -> None:
    """Run all three in a home of their own."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HEFT_HOME"] = home
        os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent.parent)
        paths = Paths.from_environment().prepare()
        measure_loading(paths)
        measure_keystrokes(paths)
        measure_library(paths)


if __name__ == "__main__":
    main()
