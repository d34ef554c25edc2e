"""What a command prints: data on stdout, words on stderr, foreign text always cleaned."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tui.errors import HeftError
from tui.plain_text import clean, clean_line


class Output:
    """Prints either JSON documents or text for people, never both on stdout."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, facts: Any) -> None:
        """Print the one JSON document (or one of the JSON lines) of a command; nothing without ``--json``."""
        if self.as_json:
            print(json.dumps(facts, ensure_ascii=True), flush=True)

    def text(self, text: str = "") -> None:
        """Print a line for people on stdout; nothing with ``--json``."""
        if not self.as_json:
            print(clean(text), flush=True)

    def note(self, text: str) -> None:
        """Print a line for people on stderr."""
        print(clean(text), file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Replace the one status line on a terminal's stderr; nothing when stderr is not a terminal."""
        if sys.stderr.isatty() and not self.as_json:
            sys.stderr.write("\r\x1b[K" + clean_line(text, 200))
            sys.stderr.flush()

    def error(self, error: HeftError) -> None:
        """Say what happened and what to do; with ``--json`` the same as a document."""
        if self.as_json:
            self.document({"error": {"summary": error.summary, "hint": error.hint, "exit_code": error.exit_code}})
        print(clean(f"heft: {error.summary}"), file=sys.stderr)
        if error.hint:
            print(clean(f"      {error.hint}"), file=sys.stderr)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        """Print aligned columns; heads that start with ``>`` are right-aligned; ``empty`` when there are no rows."""
        if self.as_json:
            return
        if not rows:
            self.note(empty)
            return
        lines = [[head.lstrip(">") for head in heads], *([clean_line(cell, 70) for cell in row] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        for line in lines:
            cells = [
                cell.rjust(width) if head.startswith(">") else cell.ljust(width)
                for cell, width, head in zip(line, widths, heads, strict=True)
            ]
            print("  ".join(cells).rstrip())
