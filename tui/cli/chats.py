"""``heft chats``: the kept conversations. The same file as the app's, so both see what the other did."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from tui.chat.conversation import Conversation
from tui.cli.output import Output
from tui.errors import UsageError
from tui.workbench import Workbench


def list_chats(arguments: Namespace, output: Output) -> int:
    """All conversations, newest first."""
    store = Workbench().transcripts()
    found = store.deleted() if arguments.deleted else store.conversations(limit=arguments.limit)
    output.document([facts(conversation) for conversation in found])
    _table(found, output, "no chat is kept yet; heft opens the app")
    return 0


def search(arguments: Namespace, output: Output) -> int:
    """Messages and titles that hold a text."""
    found = Workbench().transcripts().search(arguments.text)
    output.document(
        [
            {**facts(one.conversation), "message": one.message.id, "role": one.message.role, "excerpt": one.excerpt}
            for one in found
        ]
    )
    rows = [[str(one.conversation.id), one.conversation.title or "untitled", one.excerpt] for one in found]
    output.table(["id", "title", "found"], rows, f"nobody said {arguments.text!r}")
    return 0


def show(arguments: Namespace, output: Output) -> int:
    """One conversation, as Markdown or as JSON."""
    store = Workbench().transcripts()
    if output.as_json:
        output.document(facts(store.conversation(arguments.id)) | {"messages": _messages(store, arguments.id)})
    else:
        output.text(store.export_markdown(arguments.id).rstrip())
    return 0


def export(arguments: Namespace, output: Output) -> int:
    """Write one to a file; the ending of its name chooses Markdown or JSON."""
    store = Workbench().transcripts()
    path = Path(arguments.file).expanduser()
    text = store.export_json(arguments.id) if path.suffix == ".json" else store.export_markdown(arguments.id)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    output.document({"id": arguments.id, "path": str(path.absolute())})
    output.note(f"written to {path}")
    return 0


def import_(arguments: Namespace, output: Output) -> int:
    """Keep a conversation from a JSON or Markdown file; ``-`` reads stdin."""
    try:
        text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{arguments.file} cannot be read: {error}") from None
    return _changed(Workbench().transcripts().import_text(text), "imported", output)


def rename(arguments: Namespace, output: Output) -> int:
    """Another title."""
    store = Workbench().transcripts()
    store.rename(arguments.id, arguments.title)
    return _changed(store.conversation(arguments.id), "renamed", output)


def fork(arguments: Namespace, output: Output) -> int:
    """A copy that goes its own way."""
    return _changed(Workbench().transcripts().fork(arguments.id), "copied", output)


def delete(arguments: Namespace, output: Output) -> int:
    """Hide one; for a week it can be restored."""
    store = Workbench().transcripts()
    conversation = store.conversation(arguments.id)
    store.delete(arguments.id)
    return _changed(conversation, f"deleted; heft chats restore {arguments.id} takes it back", output)


def restore(arguments: Namespace, output: Output) -> int:
    """Bring a deleted one back."""
    return _changed(Workbench().transcripts().restore(arguments.id), "restored", output)


def facts(conversation: Conversation) -> dict[str, Any]:
    """A conversation without its messages."""
    return {
        "id": conversation.id,
        "title": conversation.title,
        "endpoint": conversation.endpoint,
        "messages": conversation.message_count,
        "created": conversation.created.isoformat(timespec="seconds"),
        "updated": conversation.updated.isoformat(timespec="seconds"),
        "forked_from": conversation.forked_from,
    }


def _messages(store: Any, conversation_id: int) -> list[dict[str, Any]]:
    import json

    messages: list[dict[str, Any]] = json.loads(store.export_json(conversation_id))["messages"]
    return messages


def _changed(conversation: Conversation, words: str, output: Output) -> int:
    output.document(facts(conversation))
    output.text(f"{conversation.id}  {conversation.title or 'untitled'}: {words}")
    return 0


def _table(found: list[Conversation], output: Output, empty: str) -> None:
    rows = [
        [str(one.id), one.title or "untitled", one.endpoint, str(one.message_count), f"{one.updated:%Y-%m-%d %H:%M}"]
        for one in found
    ]
    output.table([">id", "title", "answered by", ">messages", "updated (UTC)"], rows, empty)
