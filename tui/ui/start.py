"""From the command to the screen and back: the app is made, shown until the user leaves, and its workbench closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.errors import HeftError
from tui.paths import Paths
from tui.settings import load_settings
from tui.ui.app import HeftApp
from tui.ui.terminal import crash_words, log_to, quiet_screen, terminal_problem

if TYPE_CHECKING:
    from tui.workbench import Workbench


def run(factory: Callable[[], Workbench] | None = None) -> int:
    """Show the app until the user leaves; returns the exit code."""
    problem = terminal_problem()
    if problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 2

    def open_workbench() -> Workbench:
        from tui.workbench import Workbench

        workbench = Workbench(paths)
        workbench.let_answers_outlive()
        return workbench

    paths = Paths.from_environment()
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    try:
        interface = load_settings(paths.settings_file).interface
        app = HeftApp(factory=factory or open_workbench, interface=interface, layout_file=paths.layout)
        with quiet_screen(paths.app_log):
            handler = log_to(paths.app_log)
            app.run(mouse=False)
            handler.close()
    except (OSError, HeftError) as error:
        print(f"heft cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    app.outlive_terminal()
    if app.answer_goes_on and not app.return_code:
        print("an answer is still being written; heft shows it", file=sys.stderr)  # noqa: T201
    if app.workbench is not None:
        app.workbench.close()
    if app.failure:
        print(crash_words(app.failure, paths.app_log), file=sys.stderr)  # noqa: T201
    return app.return_code or 0
