"""A text file that goes with a question: read, refused when it is no text, and put before it under its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.errors import UsageError
from tui.plain_text import clean, clean_line
from tui.quantities import bytes_text

LARGEST = 2_000_000
"""Bytes of one file; more fills any context."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file as text."""

    name: str
    text: str

    @property
    def label(self) -> str:
        """Name and size for people."""
        return f"{self.name} ({bytes_text(len(self.text.encode()))}, {self.text.count(chr(10)) + 1:,} lines)"


def read_attachment(path: str) -> Attachment:
    """Read the file at ``path``; raises ``UsageError`` when it is missing, too large or not text."""
    file = Path(path).expanduser()
    try:
        if not file.is_file():
            raise UsageError(f"there is no file {clean_line(path)}")
        size = file.stat().st_size
        if size > LARGEST:
            raise UsageError(f"{file.name} has {bytes_text(size)}; at most {bytes_text(LARGEST)} can be attached")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{clean_line(path)} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{file.name} is not a text file in UTF-8", "only text can be attached")
    return Attachment(clean_line(file.name), clean(text))


def with_attachments(typed: str, files: Sequence[Attachment]) -> tuple[str, Mapping[str, Any]]:
    """The content of a question with its files, and the facts that tell what of it was typed."""
    if not files:
        return typed, {}
    blocks = []
    for file in files:
        fence = "```"
        while fence in file.text:
            fence += "`"
        kind = Path(file.name).suffix.removeprefix(".")
        blocks.append(f"File `{file.name}`:\n\n{fence}{kind}\n{file.text.rstrip()}\n{fence}")
    content = "\n\n".join([*blocks, typed])
    return content, {"text": typed, "files": [file.label for file in files]}
