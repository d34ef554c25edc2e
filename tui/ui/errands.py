"""The one way from the app to the workbench: a call in a thread of its own, and its answer back on the event loop.

The threads are daemons and no Textual workers: those run in a pool of few threads that Python waits for at exit, so a
hub that does not answer would hold the terminal. An answer whose group has been asked again since is dropped.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from textual.notifications import SeverityLevel

from tui.errors import HeftError
from tui.plain_text import clean, clean_line
from tui.ui import clock
from tui.ui.clipboard import keep_copy, load_tmux_buffer, osc52
from tui.ui.type_ahead import TypeAhead

if TYPE_CHECKING:
    from tui.workbench import Workbench

Answer = TypeVar("Answer")
_log = logging.getLogger("heft.app")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was told to the user; ``at`` is seconds since the epoch."""

    at: float
    severity: Literal["information", "warning", "error"]
    text: str


class ErrandApp(TypeAhead):
    """An app that runs errands on a workbench and tells the user what came of them."""

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__()
        self.workbench = workbench
        self.notes: deque[Note] = deque(maxlen=500)
        self.awaited: set[int] = set()
        """Serve jobs asked for here: whoever loads a model wants to talk to it as soon as it is ready."""
        self.unopened: HeftError | None = None
        """Why there will be no workbench."""
        self._latest: Counter[str] = Counter()
        self._under_way = 0

    @property
    def is_busy(self) -> bool:
        """An errand is under way."""
        return self._under_way > 0

    def errand(
        self,
        work: Callable[[Workbench], Answer],
        then: Callable[[Answer], object] | None = None,
        *,
        failed: Callable[[HeftError], object] | None = None,
        group: str = "",
    ) -> None:
        """Call ``work`` in a thread, then ``then`` (or ``failed``; by default the user is told) on the event loop.

        Of errands with the same ``group`` only the last one asked answers.
        """
        workbench = self.workbench
        if workbench is None:
            if self.unopened is not None:
                self.tell_error(self.unopened)
            else:
                self.tell("still opening", severity="warning")
            return
        self._latest[group] += 1
        ticket = self._latest[group]
        self._under_way += 1

        def answer(callback: Callable[[Any], object] | None, value: object) -> None:
            self._under_way -= 1
            if callback is not None and self.is_running and (not group or self._latest[group] == ticket):
                callback(value)

        def run() -> None:
            try:
                value = work(workbench)
            except HeftError as error:
                self.call_later(answer, failed or self.tell_error, error)
            except Exception as error:
                _log.exception("an errand failed")
                words = HeftError(clean_line(f"{type(error).__name__}: {error}"), "the app log says more")
                self.call_later(answer, failed or self.tell_error, words)
            else:
                self.call_later(answer, then, value)

        threading.Thread(target=run, name=f"errand {group}", daemon=True).start()

    def make(
        self,
        factory: Callable[[], Answer],
        then: Callable[[Answer], object],
        failed: Callable[[HeftError], object],
    ) -> None:
        """Call ``factory`` in a thread, as the first errand of all, then ``then`` or ``failed`` on the event loop."""
        self._under_way += 1

        def answer(callback: Callable[[Any], object], value: object) -> None:
            self._under_way -= 1
            if self.is_running:
                callback(value)

        def run() -> None:
            try:
                value = factory()
            except HeftError as error:
                self.call_later(answer, failed, error)
            except Exception as error:
                _log.exception("the workbench cannot be opened")
                words = HeftError(clean_line(f"{type(error).__name__}: {error}"), "heft doctor says more")
                self.call_later(answer, failed, words)
            else:
                self.call_later(answer, then, value)

        threading.Thread(target=run, name="open", daemon=True).start()

    def forget(self, group: str) -> None:
        """Answers of ``group`` that are still under way are not wanted any more."""
        self._latest[group] += 1

    def copy_text(self, text: str, what: str) -> None:
        """Put ``text`` on the clipboard of the user's machine, keep it in a file, and say both."""
        path = self.workbench.paths.state / "copied.txt" if self.workbench else None

        def work(_: Workbench) -> bool:
            if path is not None:
                keep_copy(text, path)
            return bool(os.environ.get("TMUX")) and load_tmux_buffer(text)

        def copied(by_tmux: bool) -> None:
            if not by_tmux and self._driver is not None:
                self._driver.write(osc52(text, os.environ))
            self.tell(f"{what} copied; also in {path}" if path else f"{what} copied")

        self.errand(work, copied)

    def tell(self, text: str, *, severity: SeverityLevel = "information", title: str = "", timeout: float = 5) -> None:
        """Show a short message; never as markup."""
        self.notify(text, title=title, severity=severity, timeout=timeout)

    def tell_error(self, error: HeftError) -> None:
        """Show what happened and what to do."""
        self.tell("\n".join(part for part in (error.summary, error.hint) if part), severity="error", timeout=10)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a message as plain text, whatever the caller asked for, and keep it in the list of messages."""
        text = clean(message)
        self.notes.append(Note(clock.seconds(), severity, f"{title}: {text}" if title else text))
        super().notify(text, title=clean_line(title), severity=severity, timeout=timeout, markup=False)
