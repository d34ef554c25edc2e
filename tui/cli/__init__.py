"""The command line: the same workbench without a screen.

Every command takes ``--json`` and then prints one JSON document (JSON lines where it follows a job) on stdout and
nothing else; text for people goes to stderr where stdout is data. Exit codes: 0 done, 1 failed, 2 usage, 3 not found,
4 not allowed, 5 does not fit, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

from tui.cli.arguments import parse
from tui.cli.output import Output
from tui.errors import HeftError

INTERRUPTED = 130


def main(words: list[str]) -> int:
    """Carry out one command and return its exit code."""
    try:
        arguments = parse(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    output = Output(as_json=arguments.json)
    try:
        return int(arguments.run(arguments, output))
    except HeftError as error:
        output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        output.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost door: words for the person, the traceback for whoever asks for it
        if os.environ.get("HEFT_DEBUG"):
            raise
        output.error(HeftError(f"{type(error).__name__}: {error}", "HEFT_DEBUG=1 shows where; heft doctor may help"))
        return 1
