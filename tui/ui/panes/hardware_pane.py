"""The hardware pane: what this machine has and what is free right now. It only shows snapshots that it is given."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.hardware.history import History
from tui.hardware.snapshot import Snapshot
from tui.ui.lines.gpu_lines import METRICS
from tui.ui.lines.hardware_lines import hardware_lines, hardware_title
from tui.ui.lines.meters import meter_width
from tui.ui.lines.span import Span, line
from tui.ui.panes.pane import Pane
from tui.ui.widgets.painted import LinesView

SPANS = (60, 300, 1200, 3600)
"""Seconds that the histories may reach back."""
FEW = 4
EVERY = 0.9
"""More GPUs than ``FEW`` are drawn every second look: nobody reads so many numbers faster, and a slow line would feel
it. The histories take in every look."""


class HardwarePane(Pane):
    """GPUs, memory, disks and network as lines. ``left`` and ``right`` change how far histories reach, ``u`` what they
    show."""

    NUMBER = 2
    NAME = "Hardware"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "metric", "another reading", id="hardware.metric"),
        Binding("left", "reach(-1)", "less history", id="hardware.shorter"),
        Binding("right", "reach(1)", "more history", id="hardware.longer"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.snapshot = Snapshot()
        self.seconds = SPANS[1]
        self.metric = METRICS[0]
        self._history = History()
        self._drawn_at = 0.0
        self._gpus_drawn = 0
        self._unopened = False

    def compose(self) -> ComposeResult:
        """One view of lines."""
        view = LinesView(id="hardware-lines")
        for key in ("left", "right"):  # it has nothing to scroll sideways, and would hide that these keys are ours
            view._bindings.key_to_bindings.pop(key, None)
        yield view

    def entrance(self) -> Widget:
        """The lines."""
        return self.query_one(LinesView)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Take in a snapshot and draw what changed."""
        self.snapshot = snapshot
        if snapshot.taken:
            self._history.add(snapshot)
        due = len(snapshot.gpus) <= FEW or snapshot.taken - self._drawn_at > EVERY
        if due or len(snapshot.gpus) != self._gpus_drawn:
            self._draw()
            self.set_counts(hardware_title(snapshot))

    def show_unopened(self) -> None:
        """The machine will not be read; the catalog says why."""
        self._unopened = True
        self._draw()

    def action_reach(self, step: int) -> None:
        """Let the histories reach back shorter or longer."""
        at = SPANS.index(self.seconds) + step
        self.seconds = SPANS[max(0, min(at, len(SPANS) - 1))]
        self._draw()

    def action_metric(self) -> None:
        """Let the histories show another reading."""
        self.metric = METRICS[(METRICS.index(self.metric) + 1) % len(METRICS)]
        self._draw()

    def on_resize(self) -> None:
        """Lines depend on the width."""
        self.call_after_refresh(self._draw)

    def on_mount(self) -> None:
        """Say that the machine is being read."""
        super().on_mount()
        self._draw()

    def _draw(self) -> None:
        view = self.query_one(LinesView)
        width = view.line_width - 1
        if width <= 0:
            return
        if self._unopened:
            view.set_lines([line(Span("not read: Heft could not open", "dim"))])
            return
        room = meter_width(width)
        histories = {name: self._history.series(name, room, self.seconds) for name in self._history.names()}
        rows = hardware_lines(
            self.snapshot, width, histories, self.seconds, metric=self.metric, height=self._room(view)
        )
        view.set_lines(rows)
        self._drawn_at, self._gpus_drawn = self.snapshot.taken, len(self.snapshot.gpus)

    def _room(self, view: LinesView) -> int:
        """Lines that there is room for; where the pane grows with its content, as many as it may grow to."""
        if not view.styles.is_auto_height or not isinstance(self.parent, Widget):
            return view.page_height
        share = self.styles.max_height
        return int(self.parent.size.height * (share.value / 100 if share is not None else 1)) - 2
