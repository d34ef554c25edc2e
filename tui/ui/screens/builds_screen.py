"""The builds on this disk: load, quantize, measure or remove one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.catalog.build import Build
from tui.jobs.disk_use import DiskUse
from tui.quantities import bytes_text
from tui.ui.chat_messages import ChatRequested
from tui.ui.lines.build_lines import about_build, about_leftovers, build_line, header_line, used_text
from tui.ui.lines.span import Span, line
from tui.ui.messages import BuildAsked, CopyRequested, DiskRequested, LadderRequested, LoadRequested
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.row_list import RowList

_EMPTY = (
    line(),
    line(Span("  No weights are on this disk yet.", "dim")),
    line(),
    line(Span("  esc", "key"), Span(" closes; choose a model and press "), Span("g", "key"), Span(".")),
)


class BuildsScreen(Dialog[None]):
    """A list of builds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,l", "load", "load", id="builds.load"),
        Binding("c", "chat", "chat", id="builds.chat"),
        Binding("g", "quantize", "quantize", id="builds.quantize"),
        Binding("f", "export", "GGUF file", id="builds.export"),
        Binding("L", "load_as", "load as …", id="builds.load_as"),
        Binding("e", "evaluate", "measure", id="builds.evaluate"),
        Binding("B", "ladder", "ladder", id="builds.ladder"),
        Binding("x", "remove", "remove", id="builds.remove"),
        Binding("u", "undo", "undo remove", id="builds.undo"),
        Binding("d", "disk", "disk", id="builds.disk"),
        Binding("y", "copy", "copy path", id="builds.copy"),
    ]
    DEFAULT_CSS = "BuildsScreen #about-build { height: 3; }"

    def __init__(self, loaded: frozenset[str]) -> None:
        super().__init__("Builds on this disk")
        self._loaded = loaded
        self.removed: list[Build] = []
        self._used: dict[str, str] = {}

    def body(self) -> ComposeResult:
        """The list, and two lines about the build under the cursor."""
        yield RowList[Build](
            lambda build, width: [build_line(build, width, loaded=build.id in self._loaded)],
            lambda build: build.id,
            header=header_line,
            empty=(line(), line(Span("  looking …", "dim"))),
            id="builds",
        )
        yield FixedLines(id="about-build")
        yield FixedLines(id="leftovers")

    @property
    def list(self) -> RowList[Build]:
        """The list."""
        return self.query_one("#builds", RowList)

    def on_mount(self) -> None:
        """The keys work on the list."""
        self.list.focus()

    def show_builds(self, builds: Sequence[Build]) -> None:
        """The builds came."""
        if not self.is_open:
            return
        self.list.set_empty(_EMPTY)
        self.list.set_rows(list(builds))
        self.retitle(
            "Builds on this disk",
            f"{len(builds)}, {bytes_text(sum(build.bytes for build in builds))}" if builds else "",
        )
        self._tell()

    def show_use(self, use: DiskUse) -> None:
        """What else lies on this disk, and what can be brought back, came."""
        if not self.is_open:
            return
        self.removed = list(reversed(use.removed))
        self._used = {item.build.id: used_text(item) for item in use.builds}
        self.query_one("#leftovers", FixedLines).set_lines(about_leftovers(use))
        self._tell()

    def _tell(self) -> None:
        about = self.query_one("#about-build", FixedLines)
        build = self.list.row
        about.set_lines(*about_build(build, about.size.width, self._used.get(build.id, "") if build else ""))
        self.refresh_bindings()

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Another build."""
        self._tell()

    def on_row_list_chosen(self, event: RowList.Chosen) -> None:
        """Enter."""
        self.action_load()

    def why_not(self, action: str) -> str:
        """What the build under the cursor allows."""
        build = self.list.row
        if action in ("leave", "help", "disk"):
            return ""
        if action == "undo":
            return "" if self.removed else "the trash is empty"
        if build is None:
            return "there is no build here"
        if build.problem and action in ("load", "load_as", "chat", "quantize", "evaluate", "export"):
            return f"{build.id}: {build.problem}"
        if action == "export" and build.precision.startswith("gguf"):
            return f"{build.id} is a GGUF file already"
        if action == "quantize" and build.recipe is not None:
            return f"{build.id} is quantized already; choose the original"
        if action == "chat" and build.id not in self._loaded:
            return f"{build.id} is not loaded; enter loads it"
        if action == "remove" and build.id in self._loaded:
            return f"{build.id} is loaded; x in the queue unloads it"
        return ""

    def _allowed(self, action: str) -> Build | None:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
            return None
        return self.list.row

    def action_load(self) -> None:
        """Load it."""
        if build := self._allowed("load"):
            self.dismiss(None)
            self.app.post_message(LoadRequested(build))

    def action_load_as(self) -> None:
        """Load it in fewer bits, quantized on the way."""
        if build := self._allowed("load_as"):
            self.app.post_message(BuildAsked(build, "load_as"))

    def action_ladder(self) -> None:
        """16, 8, 4, 3 and 2 bits side by side."""
        if build := self._allowed("ladder"):
            self.app.post_message(LadderRequested(build.model))

    def action_chat(self) -> None:
        """Chat with it."""
        if build := self._allowed("chat"):
            self.dismiss(None)
            self.app.post_message(ChatRequested(build.id))

    def action_quantize(self) -> None:
        """Make a smaller one of it."""
        if build := self._allowed("quantize"):
            self.app.post_message(BuildAsked(build, "quantize"))

    def action_export(self) -> None:
        """Write it as one file for llama.cpp."""
        if build := self._allowed("export"):
            self.app.post_message(BuildAsked(build, "export"))

    def action_evaluate(self) -> None:
        """Measure what it is worth."""
        if build := self._allowed("evaluate"):
            self.app.post_message(BuildAsked(build, "evaluate"))

    def action_remove(self) -> None:
        """Remove it, after a question."""
        if build := self._allowed("remove"):
            self.app.post_message(BuildAsked(build, "remove"))

    def action_undo(self) -> None:
        """Take the last removal back."""
        reason = self.why_not("undo")
        if reason:
            self.app.notify(reason, severity="warning")
        else:
            self.app.post_message(BuildAsked(self.removed.pop(), "restore"))

    def action_disk(self) -> None:
        """Everything on this disk."""
        self.app.post_message(DiskRequested())

    def action_copy(self) -> None:
        """Copy its path."""
        if build := self._allowed("copy"):
            self.app.post_message(CopyRequested(str(build.path), "path"))
