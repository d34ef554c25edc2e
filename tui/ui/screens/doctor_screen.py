"""What the doctor found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.doctor import Check
from tui.ui.lines.doctor_lines import doctor_lines
from tui.ui.lines.span import Line, Span, line, plain
from tui.ui.messages import CopyRequested, ReportRequested
from tui.ui.screens.lines_dialog import LinesDialog


class DoctorScreen(LinesDialog):
    """A text that scrolls."""

    LINES_ID = "doctor-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy all", id="doctor.copy"),
        Binding("r", "report", "write a report", id="doctor.report"),
    ]

    def __init__(self) -> None:
        super().__init__("Doctor")
        self._checks: Sequence[Check] | None = None

    def show_checks(self, checks: Sequence[Check]) -> None:
        """The findings came."""
        self._checks = checks
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        """The findings."""
        if self._checks is None:
            return [line(Span("examining; the libraries are loaded once, which takes a while …", "dim"))]
        return doctor_lines(self._checks, width - 1)

    def why_not(self, action: str) -> str:
        """Nothing can be reported before it is found."""
        return "the examination is still under way" if action in ("copy", "report") and self._checks is None else ""

    def action_report(self) -> None:
        """A file for a bug report."""
        if reason := self.why_not("report"):
            self.app.notify(reason, severity="warning")
        else:
            self.app.post_message(ReportRequested(self._checks or ()))

    def action_copy(self) -> None:
        """Copy the findings, for a report."""
        text = "\n".join(plain(row).rstrip() for row in doctor_lines(self._checks or (), 100))
        self.app.post_message(CopyRequested(text, "findings"))
