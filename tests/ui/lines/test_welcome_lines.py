"""The words of the first run: this machine, what fits it, the ways to begin."""

from __future__ import annotations

import pytest

from tests.ui.still_life import snapshot
from tui.ui.lines.span import plain, width_of
from tui.ui.lines.welcome_lines import Welcome, welcome_lines


def text(welcome: Welcome, width: int = 60) -> str:
    return "\n".join(plain(row) for row in welcome_lines(welcome, width))


@pytest.mark.parametrize("width", [24, 44, 80, 160])
@pytest.mark.parametrize("gpus", [True, False])
def test_no_line_is_wider_than_the_pane(width: int, gpus: bool) -> None:
    assert all(width_of(row) <= width for row in welcome_lines(Welcome(snapshot(gpus), 3, 9, False), width))


def test_it_tells_the_machine_what_fits_and_how_to_begin() -> None:
    shown = text(Welcome(snapshot(True), 21, 27, False))
    for part in (
        "2 x L40S",
        "34.0 GB free on the freest",
        "21 of 27 models",
        "4 g",
        "1 w",
        "1 g",
        "?",
        "hf auth login",
    ):
        assert part in shown


def test_without_a_gpu_it_says_what_that_means_and_with_a_token_nothing_of_tokens() -> None:
    shown = text(Welcome(snapshot(False), 21, 27, True))
    assert "32 cores" in shown and "No GPU: models run on the CPU" in shown and "token" not in shown
