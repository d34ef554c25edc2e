"""Kept conversations for the screens: what can be done with one, and the defaults of a new one. Runs in threads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui.chat.conversation import Conversation, Parameters
from tui.chat.presets import Sampling
from tui.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from tui.settings import ChatSettings
    from tui.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Kept:
    """The list after something was done: conversations, the excerpt that a search found in each, and what to tell."""

    conversations: Sequence[Conversation]
    excerpts: dict[int, str] = field(default_factory=dict)
    told: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the chat pane begins with: the last conversation, what was asked lately, and what was written but not
    sent."""

    conversation: Conversation | None
    prompts: list[str]
    draft: str


def last_conversation(workbench: Workbench) -> Opening:
    """Read where the user left off."""
    store = workbench.transcripts()
    kept = store.conversations(limit=1)
    try:
        draft = draft_file(workbench).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        draft = ""
    return Opening(store.conversation(kept[0].id) if kept else None, store.prompts(), draft)


def draft_file(workbench: Workbench) -> Path:
    """Where a prompt stands that was written and not sent."""
    return workbench.paths.state / "draft.txt"


def keep_draft(workbench: Workbench, text: str) -> None:
    """Keep what is written in the field, for the case that the app ends before it is sent."""
    file = draft_file(workbench)
    if not text:
        file.unlink(missing_ok=True)
        return
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def default_sampling(settings: ChatSettings) -> Sampling:
    """What ``config.toml`` says about new conversations."""
    parameters = Parameters(
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens or None
    )
    return Sampling(settings.system, parameters)


def keep(workbench: Workbench, wish: str, conversation_id: int, text: str) -> Kept:
    """Do what was wished, then list the conversations; ``text`` is a title for "rename", else what is searched for."""
    store = workbench.transcripts()
    told = ""
    if wish == "rename" and text:
        store.rename(conversation_id, text)
    elif wish == "delete":
        store.delete(conversation_id)
        told = "deleted; u takes it back"
    elif wish == "restore":
        store.restore(conversation_id)
    elif wish == "restore-last":
        gone = store.deleted()
        if not gone:
            raise NotFoundError("no chat was deleted in the last week")
        told = f"{store.restore(gone[0].id).title or 'untitled'} is back"
    elif wish == "fork":
        told = f"copied as {store.fork(conversation_id).title}"
    elif wish == "export":
        page, document = export(workbench, conversation_id)
        told = f"written to {page} and, for programs, {document.name}"
    elif wish == "import":
        told = f"{import_file(workbench, text).title or 'untitled'} is here now"
        text = ""
    if wish not in ("rename", "import") and text:
        found = store.search(text)
        excerpts = {item.conversation.id: item.excerpt for item in reversed(found)}
        return Kept(list({item.conversation.id: item.conversation for item in found}.values()), excerpts, told)
    return Kept(store.conversations(), {}, told)


def export(workbench: Workbench, conversation_id: int) -> tuple[Path, Path]:
    """Write a conversation as Markdown and as JSON; returns both files."""
    store = workbench.transcripts()
    title = store.conversation(conversation_id).title
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "chat"
    folder = _exports(workbench)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    page, document = folder / f"{name}-{conversation_id}.md", folder / f"{name}-{conversation_id}.json"
    page.write_text(store.export_markdown(conversation_id), encoding="utf-8")
    document.write_text(store.export_json(conversation_id), encoding="utf-8")
    return page, document


def import_file(workbench: Workbench, path: str) -> Conversation:
    """Keep the conversation that the JSON or Markdown file at ``path`` holds; raises ``UsageError``."""
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return workbench.transcripts().import_text(text)


def _exports(workbench: Workbench) -> Path:
    return workbench.paths.data / "exports"
