"""A conversation out of a document: what ``export_json`` or ``export_markdown`` wrote, or any list of the protocol's
messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.transcript_page import is_page, read_page
from tui.errors import UsageError
from tui.plain_text import clean, clean_line

_NOT_FACTS = {"title", "endpoint", "parameters", "seed", "created", "updated", "messages"}
_ROLES = {"system", "user", "assistant"}


@dataclass(frozen=True, slots=True)
class Imported:
    """What the document holds."""

    messages: tuple[Message, ...]
    title: str = ""
    endpoint: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_document(text: str) -> Imported:
    """Read a document; raises ``UsageError`` with what is wrong in it."""
    try:
        value = read_page(text) if is_page(text) else json.loads(text)
    except ValueError as error:
        hint = "import a file that Heft exported as JSON or Markdown"
        raise UsageError(f"this is neither JSON nor a page with front matter: {error}", hint) from None
    if isinstance(value, list):
        value = {"messages": value}
    rows = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UsageError("the document holds no list of messages", 'it needs {"messages": [{"role": ..., ...}]}')
    facts = {str(name): item for name, item in value.items() if name not in _NOT_FACTS}
    messages = [_message(row, place) for place, row in enumerate(rows)]
    if messages[0].role == "system":  # the prompt of the whole conversation, which is kept beside it
        facts["system"] = messages.pop(0).content
    parameters = value.get("parameters")
    chosen = {
        name: item
        for name, item in (parameters.items() if isinstance(parameters, dict) else ())
        if (_seconds(item) is not None) or (name == "stop" and isinstance(item, list))
    }
    return Imported(
        tuple(messages),
        clean_line(str(value.get("title") or "")) or _title(messages),
        clean_line(str(value.get("endpoint") or value.get("model") or "imported")),
        Parameters.from_chosen(chosen),
        facts,
    )


def _message(row: Any, place: int) -> Message:
    if not isinstance(row, dict) or row.get("role") not in _ROLES:
        raise UsageError(f"messages[{place}] is not a message of the system, the user or the assistant")
    content = row.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise UsageError(f"messages[{place}].content is not text")
    states = {state.value for state in MessageState} - {MessageState.STREAMING.value}
    usage, facts = row.get("usage"), row.get("facts")
    return Message(
        str(row["role"]),
        clean(content),
        thinking=clean(str(row.get("reasoning_content") or "")),
        state=MessageState(row["state"]) if row.get("state") in states else MessageState.COMPLETE,
        finish_reason=clean_line(str(row.get("finish_reason") or "")),
        usage=usage if isinstance(usage, dict) else {},
        time_to_first_token=_seconds(row.get("time_to_first_token")),
        tokens_per_second=_seconds(row.get("tokens_per_second")),
        problem=clean_line(str(row.get("problem") or "")),
        created=_moment(row.get("created")),
        facts=facts if isinstance(facts, dict) else {},
    )


def _title(messages: list[Message]) -> str:
    return next((" ".join(message.content.split())[:80] for message in messages if message.role == "user"), "")


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
