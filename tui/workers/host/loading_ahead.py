"""What needs no torch is done in threads while torch loads: facts and tokenizer, step.c, the weights' way from disk.

Whether a build may be loaded without transformers is known from its configuration alone; whether it is, shows when its
files are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui.catalog.weight_files import weight_files
from tui.fit.light_config import may_be_light
from tui.workers.host.compiled.library import compile_library
from tui.workers.host.kept_facts import FOLDER, facts_of
from tui.workers.host.light_model import LightConfig, light_model
from tui.workers.host.light_tokenizer import LightTokenizer
from tui.workers.host.making_fast import COMPILED_FOLDER
from tui.workers.reporter import Reporter


class LoadingAhead:
    """Begins at once with what the build in ``folder`` will need. Wrong guesses cost time, never an answer."""

    def __init__(self, reporter: Reporter, folder: Path) -> None:
        self._folder = folder
        config = _config(folder)
        on_cpu = not reporter.job.device.startswith("cuda")
        as_it_is = on_cpu and not reporter.job.spec.get("load_as") and "quantization_config" not in config
        state, halted = reporter.paths.state, reporter.stop.is_set
        self._read = _Ahead(lambda: _read_through(folder))
        self._compiled = _Ahead(lambda: compile_library(state / COMPILED_FOLDER)) if as_it_is else None
        light = as_it_is and may_be_light(config)
        self._facts = _Ahead(lambda: _facts_and_tokenizer(folder, state / FOLDER, halted)) if light else None

    @property
    def is_light(self) -> bool:
        """Whether there is hope to do without transformers."""
        return self._facts is not None

    def tokenizer(self) -> tuple[LightTokenizer, LightConfig, LightConfig] | None:
        """Tokenizer, configuration and generation defaults; None where transformers has to make them."""
        return None if self._facts is None else self._facts.result()

    def compiled(self) -> None:
        """Wait for step.c."""
        if self._compiled is not None:
            self._compiled.result()

    def model(self, config: LightConfig, generation: LightConfig, dtype: Any) -> Any:
        """The model, or None where its weights are not just those that it should have."""
        return light_model(self._folder, config, generation, dtype)


class _Ahead:
    """One thing that a thread of its own does; what it raises is as good as nothing."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._found: Any = None
        self._thread = threading.Thread(target=self._run, args=(do,), name="ahead", daemon=True)
        self._thread.start()

    def result(self) -> Any:
        """What came of it, or None."""
        self._thread.join()
        return self._found

    def _run(self, do: Callable[[], Any]) -> None:
        with contextlib.suppress(Exception):  # whoever needs it does it again, and tells what is wrong
            self._found = do()


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _facts_and_tokenizer(
    folder: Path, kept: Path, unwanted: Callable[[], bool]
) -> tuple[LightTokenizer, LightConfig, LightConfig] | None:
    found = facts_of(folder, kept, unwanted)
    if found is None:
        return None
    facts, file = found
    tokenizer = LightTokenizer(file, facts["tokenizer"])
    return tokenizer, LightConfig(**facts["config"]), LightConfig(**facts["generation"])


def _read_through(folder: Path) -> None:
    """Ask the kernel to bring the weights into its cache, where they are not there already."""
    for name in weight_files(folder):
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
