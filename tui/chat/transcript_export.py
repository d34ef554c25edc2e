"""A conversation as a file for people (Markdown with front matter) or for programs (JSON).

Both carry what is needed to ask the same again: model, revision, recipe, parameters, seed and versions.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from tui import __version__
from tui.chat.conversation import Conversation, Message, MessageState
from tui.chat.transcript_page import marked


def export_markdown(conversation: Conversation) -> str:
    """Markdown with a YAML front matter; what the model thought is folded away in a quote."""
    lines = ["---"]
    for name, value in _front_matter(conversation).items():
        # JSON is YAML, so no title or file name can break out of its line
        lines.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    lines += ["---", "", f"# {' '.join(conversation.title.split()) or 'Conversation'}", ""]
    for message in conversation.messages:
        lines += _markdown_message(message)
    return "\n".join(lines).rstrip() + "\n"


def export_json(conversation: Conversation) -> str:
    """One JSON document: the front matter and the messages, in the protocol's own shape."""
    document = _front_matter(conversation)
    if conversation.facts.get("system"):
        document["messages"] = [{"role": "system", "content": conversation.facts["system"]}]
    else:
        document["messages"] = []
    document["messages"] += [_json_message(message) for message in conversation.messages]
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _front_matter(conversation: Conversation) -> dict[str, Any]:
    facts = dict(conversation.facts)
    versions = {"heft": __version__, **(facts.pop("versions", None) or {})}
    values: dict[str, Any] = {"title": conversation.title, "endpoint": conversation.endpoint}
    for name in ("model", "build", "revision", "recipe"):
        if facts.get(name):
            values[name] = facts.pop(name)
    values |= {name: value for name, value in facts.items() if value not in (None, "", {})}
    values["parameters"] = conversation.parameters.chosen()
    values["seed"] = conversation.parameters.seed
    values["versions"] = versions
    values["created"] = _stamp(conversation.created)
    values["updated"] = _stamp(conversation.updated)
    return values


def _markdown_message(message: Message) -> list[str]:
    lines = [f"## {message.role.capitalize()}", ""]
    if message.thinking:
        lines += [f"> {line}" if line else ">" for line in message.thinking.strip().split("\n")] + [""]
    lines += [_closed(marked(message.content)), ""]
    if message.state is not MessageState.COMPLETE:
        why = f": {message.problem}" if message.problem else ""
        lines += [f"*({message.state.value}{why})*", ""]
    return lines


def _closed(text: str) -> str:
    """``text`` with its last code fence closed, so that a cut answer does not swallow the rest of the page."""
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _json_message(message: Message) -> dict[str, Any]:
    values: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        values["reasoning_content"] = message.thinking
    if message.role == "assistant":
        values |= {
            "state": message.state.value,
            "finish_reason": message.finish_reason,
            "usage": dict(message.usage),
            "time_to_first_token": message.time_to_first_token,
            "tokens_per_second": message.tokens_per_second,
        }
        if message.facts:
            values["facts"] = dict(message.facts)
    if message.problem:
        values["problem"] = message.problem
    if message.created:
        values["created"] = _stamp(message.created)
    return values


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
