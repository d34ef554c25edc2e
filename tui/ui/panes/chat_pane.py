"""The chat pane: who answers, the conversation, and the field where a prompt is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.ui.chat_messages import PromptSubmitted, StopRequested
from tui.ui.lines.dead_host_lines import REMEDY_KEYS
from tui.ui.lines.section_lines import Part
from tui.ui.lines.span import Line, Span, line
from tui.ui.messages import CopyRequested
from tui.ui.panes.chat_wishes import ChatWishes
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.prompt_input import PromptInput
from tui.ui.widgets.transcript_view import TranscriptView

if TYPE_CHECKING:
    from tui.chat.attachment import Attachment

NOTHING_LOADED: list[Line] = [
    line(),
    line(Span("  No model is loaded.", "dim")),
    line(),
    line(Span("  "), Span("4 g", "key"), Span("  loads the starter, a small model that came with Heft")),
    line(Span("  "), Span("1 g", "key"), Span("  gets the model chosen in the catalog")),
    line(Span("  "), Span("4 e", "key"), Span("  chooses a build, a running server or an API")),
]
READY: list[Line] = [
    line(),
    line(
        Span("  Ask something. ", "dim"),
        Span("enter", "key"),
        Span(" sends, ", "dim"),
        Span("esc", "key"),
        Span(" stops, ", "dim"),
        Span("ctrl+t", "key"),
        Span(" attaches a file.", "dim"),
    ),
]


class ChatPane(ChatWishes):
    """A conversation with one endpoint at a time."""

    NUMBER = 4
    NAME = "Chat"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop/commands", id="chat.stop"),
        Binding("g", "starter", "load the starter", id="chat.starter"),
        Binding("i,enter", "write", "write", id="chat.write"),
        Binding("e,ctrl+o", "endpoint", "who answers", id="chat.endpoint"),
        Binding("n,ctrl+n", "new", "new chat", id="chat.new"),
        Binding("r,ctrl+r", "regenerate", "again", id="chat.regenerate"),
        Binding("u", "edit", "edit question", id="chat.edit"),
        Binding("c", "continue", "go on", id="chat.continue"),
        *(
            Binding(key, f"remedy('{kind}')", words, id=f"chat.{kind}", show=False)
            for (kind, key), words in zip(
                REMEDY_KEYS.items(), ("shorter context", "smaller precision", "other device"), strict=True
            )
        ),
        Binding("left,h", "version(-1)", "version before", id="chat.version_before", show=False),
        Binding("right,l", "version(1)", "next version", id="chat.version_next", show=False),
        Binding("y", "copy", "copy", id="chat.copy"),
        Binding("Y", "copy_all", "copy the whole chat", id="chat.copy_all", show=False),
        Binding("f", "fork", "fork here", id="chat.fork", show=False),
        Binding("x", "remove", "remove message", id="chat.remove", show=False),
        Binding("U", "restore", "take the removal back", id="chat.restore", show=False),
        Binding("a,ctrl+t", "attach", "attach a text file", id="chat.attach", show=False),
        Binding("o", "older", "older chats", id="chat.older"),
        Binding("p", "parameters", "parameters", id="chat.parameters"),
        Binding("t", "thinking", "thinking", id="chat.thinking", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Who answers, the transcript, the field."""
        yield FixedLines(id="who")
        yield TranscriptView(id="transcript")
        yield FixedLines(id="files")
        yield PromptInput(id="prompt", placeholder="write here; enter sends")

    def on_mount(self) -> None:
        """Nothing is loaded yet."""
        super().on_mount()
        self.query_one("#files").display = False
        self.transcript.set_empty(NOTHING_LOADED)

    def entrance(self) -> Widget:
        """The field when somebody can answer, else the transcript, where letters are commands."""
        return self.prompt if self.has_endpoint else self.transcript

    def show_endpoint(self, who: Line, ready: bool) -> None:
        """Who answers now."""
        self.has_endpoint = ready
        self.show_who(who)
        if ready:
            self._remedies = {}
        self.transcript.set_empty(READY if ready else NOTHING_LOADED)
        if ready and self.transcript.has_focus and not self.has_question:
            self.prompt.focus()
        self.refresh_bindings()

    def show_who(self, who: Line) -> None:
        """The same endpoint, other numbers."""
        self.query_one("#who", FixedLines).set_lines(who)

    def set_remedies(self, remedies: Mapping[str, str]) -> None:
        """What the card of a dead host offers, each with the reason why it is off."""
        self._remedies = remedies
        self.refresh_bindings()

    def attach(self, file: Attachment) -> None:
        """A file goes with the next question."""
        self.files.append(file)
        self._show_files()
        self.prompt.focus()
        self.prompt.post_message(PromptInput.Written(self.prompt.text))

    def take_files(self) -> list[Attachment]:
        """The files that go with this question."""
        files, self.files = self.files, []
        self._show_files()
        return files

    def _show_files(self) -> None:
        row = self.query_one("#files", FixedLines)
        row.display = bool(self.files)
        names = ", ".join(file.label for file in self.files)
        row.set_lines(line(Span(" + ", "info"), Span(names), Span("  esc takes it away", "dim")))

    def choose_message(self, message_id: int) -> None:
        """Choose a message in the transcript."""
        for number, section in enumerate(self.transcript.sections):
            if message_id and section.message_id == message_id and section.role != "thinking":
                self.transcript.choose(Part(number))

    def show_streaming(self, streaming: bool) -> None:
        """Whether an answer is under way."""
        self.streaming = streaming
        self.set_class(streaming, "-streaming")
        self.refresh_bindings()

    def show_pulling(self, note: str) -> None:
        """How far a server's pull of a model is; empty when there is none."""
        self.set_note(note)
        if self.pulling != bool(note):
            self.pulling = bool(note)
            self.refresh_bindings()

    def action_stop(self) -> None:
        """Stop the answer or a pull; without one, take an attached file away, leave the field, or choose nothing."""
        if self.streaming or self.pulling:
            self.post_message(StopRequested())
        elif self.files:
            self.take_files()
        elif self.prompt.has_focus:
            self.transcript.focus()
        elif self.transcript.chosen:
            self.transcript.choose(None)

    def action_copy(self) -> None:
        """Copy what is chosen, a message or a block of code, or the last answer."""
        if self.refuses("copy"):
            return
        part, section = self.transcript.chosen, self.transcript.chosen_section
        if part is None or section is None:
            self.post_message(CopyRequested(self.last_answer, "answer"))
        else:
            what = "code" if part.block >= 0 else {"user": "question"}.get(section.role, "answer")
            self.post_message(CopyRequested(section.part_text(part.block), what))

    def action_copy_all(self) -> None:
        """Copy the whole conversation as Markdown."""
        if not self.refuses("copy_all"):
            parts = [
                f"**{'You' if section.role == 'user' else 'Answer'}**\n\n{section.text.strip()}"
                for section in self.transcript.sections
                if section.role in ("user", "assistant")
            ]
            self.post_message(CopyRequested("\n\n".join(parts) + "\n", "chat"))

    def action_thinking(self) -> None:
        """Fold or unfold what was thought."""
        self.transcript.toggle_thinking()

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        """Enter in the field."""
        event.stop()
        if self.streaming:
            self.app.notify("an answer is still under way; esc stops it", severity="warning")
        else:
            self.post_message(PromptSubmitted(event.text))
