"""A conversation out of a Markdown page that ``export_markdown`` wrote.

The page is for people, so it holds less than JSON does: no counts and times of single answers. What makes it a
conversation again is its front matter and the headings of its messages; where a message itself holds such a line, the
export put a backslash before it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tui.chat.conversation import MessageState
from tui.errors import UsageError

ANSWER_MARK = "<!-- answer -->"
"""Stands before a message that begins with a quote, which is else what the model thought."""

_ROLES = "User|Assistant|System"
_HEADING = re.compile(rf"^## ({_ROLES})$", re.MULTILINE)
_LIKE_HEADING = re.compile(rf"^(\\*## (?:{_ROLES}))$", re.MULTILINE)
_MARKED = re.compile(rf"^\\(\\*## (?:{_ROLES}))$", re.MULTILINE)
_ENDED = re.compile(rf"\n*^\*\(({'|'.join(state.value for state in MessageState)})(?:: (.*))?\)\*\Z", re.MULTILINE)


def marked(content: str) -> str:
    """``content`` as a page holds it."""
    text = _LIKE_HEADING.sub(r"\\\1", content)
    return f"{ANSWER_MARK}\n{text}" if text.lstrip().startswith((">", ANSWER_MARK)) else text


def is_page(text: str) -> bool:
    """Whether ``text`` looks like such a page and not like JSON."""
    return text.lstrip("\ufeff").startswith("---\n")


def read_page(text: str) -> dict[str, Any]:
    """The document that ``export_json`` would have written, as far as the page has it; raises ``UsageError``."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n")
    head, end, body = text.removeprefix("---\n").partition("\n---\n")
    if not end:
        raise UsageError("the front matter of this page does not end", "import a page that was exported from Heft")
    document = _front_matter(head)
    _, *parts = _HEADING.split("\n" + body)
    messages = [_message(role.lower(), said) for role, said in zip(parts[::2], parts[1::2], strict=True)]
    if document.get("system") and not any(message["role"] == "system" for message in messages):
        messages.insert(0, {"role": "system", "content": document["system"]})
    return {**document, "messages": messages}


def _front_matter(head: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for line in head.splitlines():
        name, colon, value = line.partition(": ")
        if colon and name.isidentifier():
            try:
                values[name] = json.loads(value)
            except ValueError:
                values[name] = value
    return values


def _message(role: str, said: str) -> dict[str, Any]:
    said = said.strip("\n")
    message: dict[str, Any] = {"role": role}
    if role == "assistant" and (ended := _ENDED.search(said)):
        said = said[: ended.start()]
        message |= {"state": ended[1], "problem": ended[2] or ""}
    if role == "assistant" and said.startswith(">"):
        lines = said.split("\n")
        count = next((place for place, line in enumerate(lines) if not line.startswith(">")), len(lines))
        message["reasoning_content"] = "\n".join(line[1:].removeprefix(" ") for line in lines[:count])
        said = "\n".join(lines[count:]).strip("\n")
    said = said.removeprefix(ANSWER_MARK + "\n")
    return {**message, "content": _MARKED.sub(r"\1", said)}
