"""No words: the app. Words: the command line. The one place that picks a front end."""

from __future__ import annotations

import gc
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run Heft with ``arguments`` (the process's own when None) and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        gc.disable()  # looking for garbage in what is only being loaded takes a fifth of the first frame
        from tui.ui.start import run

        return run()
    from tui.cli import main as command_line

    return command_line(words)


if __name__ == "__main__":
    sys.exit(main())
