"""Earlier conversations: search, open, rename, export, delete and take back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.chat.conversation import Conversation
from tui.ui import clock
from tui.ui.lines.chat_lines import age_text
from tui.ui.lines.span import Line, Span, fit_cells, line, spread
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.row_list import RowList

SEARCH = "/ search everything that was said"


class ConversationAsked(Request):
    """Do something: ``wish`` is "search", "rename", "export", "import", "fork", "delete",
    "restore" or "restore-last"; ``text`` goes with it."""

    screen: ConversationsScreen
    wish: str
    conversation_id: int = 0
    text: str = ""


def conversation_line(conversation: Conversation, width: int, excerpt: str = "") -> Line:
    """Title, who answered, how long ago."""
    age = age_text(clock.seconds() - conversation.updated.timestamp())
    head = line(
        Span(fit_cells(conversation.title or "untitled", max(12, width // 2))),
        Span(f"  {excerpt or conversation.endpoint}", "dim"),
    )
    return spread(head, (Span(f"{conversation.message_count:>3}  {age:>14}", "dim"),), width)


class ConversationsScreen(Dialog[int]):
    """Answers with the id of the conversation to open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="conversations.open", priority=True),
        Binding("slash", "search", "search", id="conversations.search"),
        Binding("r", "rename", "rename", id="conversations.rename"),
        Binding("w", "export", "write to files", id="conversations.export"),
        Binding("i", "import", "import", id="conversations.import"),
        Binding("f", "fork", "copy", id="conversations.fork"),
        Binding("x", "delete", "delete", id="conversations.delete"),
        Binding("u", "undo", "undo delete", id="conversations.undo"),
        Binding("down", "into_list", "Down", show=False, id="conversations.down"),
    ]
    DEFAULT_CSS = "ConversationsScreen #text { background: $surface; }"

    def __init__(self) -> None:
        super().__init__("Older chats")
        self._excerpts: dict[int, str] = {}
        self._deleted: list[int] = []
        self._renaming = 0
        self._importing = False

    def body(self) -> ComposeResult:
        """Search and list."""
        yield Input(placeholder=SEARCH, id="text", compact=True)
        yield RowList[Conversation](
            lambda row, width: [conversation_line(row, width, self._excerpts.get(row.id, ""))],
            lambda row: row.id,
            empty=(line(), line(Span("  No chat is kept yet.", "dim"))),
            id="conversations",
        )

    @property
    def list(self) -> RowList[Conversation]:
        """The list."""
        return self.query_one("#conversations", RowList)

    @property
    def field(self) -> Input:
        """The field."""
        return self.query_one("#text", Input)

    def on_mount(self) -> None:
        """The list has the keys."""
        self.list.focus()
        self.ask("search")

    def ask(self, wish: str, conversation_id: int = 0, text: str = "") -> None:
        """Post a wish."""
        self.post_message(ConversationAsked(self, wish, conversation_id, text))

    def show_conversations(self, conversations: Sequence[Conversation], excerpts: dict[int, str]) -> None:
        """They came."""
        self._excerpts = excerpts
        if self.is_open:
            self.list.set_rows(list(conversations))
            self.list.redraw()

    def why_not(self, action: str) -> str:
        """What is possible here."""
        if action == "undo":
            return ""
        if action in ("choose", "rename", "export", "fork", "delete") and self.list.row is None:
            return "no chat is chosen"
        return ""

    def _allowed(self, action: str) -> Conversation | None:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
            return None
        return self.list.row

    def action_choose(self) -> None:
        """Open it; in the field, take what is written."""
        if self.field.has_focus and self._renaming:
            self.ask("rename", self._renaming, self.field.value.strip())
            self._renaming = 0
            self.field.value = ""
            self.list.focus()
        elif self.field.has_focus and self._importing:
            path = self.field.value.strip()
            self._leave_field()
            if path:
                self.ask("import", text=path)
        elif self.field.has_focus:
            self.list.focus()
        elif row := self._allowed("choose"):
            self.dismiss(row.id)

    def action_search(self) -> None:
        """Type what to look for."""
        self._renaming = 0
        self.field.focus()

    def action_into_list(self) -> None:
        """From the field to the list."""
        self.list.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as it is typed."""
        if not self._renaming and not self._importing:
            self.ask("search", text=event.value.strip())

    def action_rename(self) -> None:
        """Another title."""
        if row := self._allowed("rename"):
            self._renaming = row.id
            self.field.value = row.title
            self.field.focus()

    def action_export(self) -> None:
        """Write it to a Markdown file."""
        if row := self._allowed("export"):
            self.ask("export", row.id)

    def action_import(self) -> None:
        """Read a conversation from a JSON file."""
        self._importing = True
        self.field.value = ""
        self.field.placeholder = "path of a JSON or Markdown file; enter imports it"
        self.field.focus()

    def action_fork(self) -> None:
        """Make a copy that goes its own way."""
        if row := self._allowed("fork"):
            self.ask("fork", row.id)

    def _leave_field(self) -> None:
        self._renaming, self._importing = 0, False
        self.field.placeholder = SEARCH
        self.field.value = ""
        self.list.focus()

    def action_delete(self) -> None:
        """Delete it; u takes it back."""
        if row := self._allowed("delete"):
            self._deleted.append(row.id)
            self.ask("delete", row.id, self.field.value.strip())

    def action_undo(self) -> None:
        """Take the last deletion back, also one of another day."""
        if self._deleted:
            self.ask("restore", self._deleted.pop(), self.field.value.strip())
        else:
            self.ask("restore-last")

    def action_leave(self) -> None:
        """Leave the field, then the screen."""
        if self.field.has_focus:
            self._leave_field()
        else:
            self.dismiss(None)
