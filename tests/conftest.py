"""Fixtures that every test may use: a private home, a clean environment, and polling instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.patience import patient
from tui.paths import Paths

# The test processes share the cores, and threads that wait for each other across them crawl; the models are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

FOREIGN = (
    *("HF_", "HUGGING_FACE_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "HEFT_", "XDG_"),
    *("SSH_", "TEXTUAL_", "NO_COLOR", "COLOR", "TMUX", "STY"),
)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, cache, proxy or setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEFT_HOME", str(tmp_path / "heft"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HEFT_RUNNER_IDLE", "3")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent.parent), *_python_path()]))


def _python_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


@pytest.fixture
def paths(clean_environment: None) -> Paths:
    """Prepared folders under this test's own ``HEFT_HOME``."""
    return Paths.from_environment().prepare()


@pytest.fixture
def until() -> Iterator[Callable[..., object]]:
    """``until(condition, seconds)`` polls until ``condition()`` is true and returns its value, or fails."""

    def poll(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> object:
        deadline = time.monotonic() + patient(seconds)
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
            time.sleep(0.02)

    return poll


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update-pictures`` takes what the screens show now as their baselines."""
    parser.addoption("--update-pictures", action="store_true", help="take the pictures of the screens anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process begins one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
