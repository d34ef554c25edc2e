"""The messages of the app: facts that came up from the domain, and what the panes ask for (the chat pane's own are in
``chat_messages.py``).

Facts are named in the past tense and carry frozen data; newer facts replace older ones that still wait. Requests are
what a person asked for with a key; the app alone answers them by calling the workbench.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from tui.ui.request import Request

if TYPE_CHECKING:
    from tui.catalog.build import Build, Recipe
    from tui.catalog.model import Model
    from tui.doctor import Check
    from tui.hardware.snapshot import Snapshot
    from tui.jobs.job import Job
    from tui.ui.catalog_index import Wanted
    from tui.ui.lines.model_lines import ModelRow
    from tui.ui.widgets.choices import Choice


class Fact(Message):
    """Something happened; a newer fact of the same kind replaces one that still waits."""

    def can_replace(self, message: Message) -> bool:
        """Newer news replaces older news."""
        return type(message) is type(self)


class JobsChanged(Fact):
    """The queue is now ``jobs``; ``held`` says why all of it stands still, empty when it does not."""

    def __init__(self, jobs: tuple[Job, ...], held: str = "") -> None:
        super().__init__()
        self.jobs = jobs
        self.held = held


class SnapshotTaken(Fact):
    """The machine as it is now."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class FeedFailed(Fact):
    """The queue or the probe could not be read; ``summary`` says why, empty when it works again."""

    def __init__(self, summary: str) -> None:
        super().__init__()
        self.summary = summary


class ModelRequested(Request):
    """Show everything about a model."""

    model: Model


class GetRequested(Request):
    """Get a model: the recipe screen opens."""

    model: Model


@dataclass(frozen=True, slots=True)
class HubQuery:
    """What is asked of the hub: words of the name, a kind of model, bounds of the parameters."""

    words: str
    task: str = ""
    least: int | None = None
    most: int | None = None
    ungated: bool = False


class HubSearchRequested(Request):
    """Search the hub for ``query``; ``limit`` bounds how many models come."""

    query: HubQuery
    limit: int = 50


class BuildsRequested(Request):
    """Show the builds on this disk."""


class CopyRequested(Request):
    """Put ``text`` on the clipboard of the user's own machine; ``what`` names it."""

    text: str
    what: str


class ReportRequested(Request):
    """Write a file for a bug report with what the doctor found."""

    checks: Sequence[Check]


class LoadRequested(Request):
    """Load a build into memory; ``load_as`` quantizes it on the way ("int8", "nf4", "torchao-int8")."""

    build: Build
    load_as: str = ""


class JobMoveRequested(Request):
    """Move a job: ``move`` is "cancel", "pause", "resume", "retry", "up" or "down"."""

    job: Job
    move: str


class WhenFreeRequested(Request):
    """Ask when a waiting job shall start."""

    job: Job


class JobLogRequested(Request):
    """Show the log of a job."""

    job: Job


class JobRequested(Request):
    """Show everything about a job."""

    job: Job


class ClearRequested(Request):
    """Forget the jobs that are over."""


class PlanChosen(Request):
    """The recipe screen was answered: get ``model``; ``load`` asks for the whole chain, else only the weights."""

    model: Model
    recipe: Recipe | None
    load: bool
    build: Build | None = None
    """Weights on this disk to start from, instead of the published ones."""


class LadderRequested(Request):
    """Show 16, 8, 4, 3 and 2 bits of a model side by side; ``ref`` is what ``Workbench.model`` finds."""

    ref: str


class LadderWanted(Request):
    """Make the builds that the ladder of a model lacks."""

    ref: str


class BuildAsked(Request):
    """Do something with a build: ``wish`` is "quantize", "evaluate", "load_as", "export", "remove" or "restore"."""

    build: Build
    wish: str


class DiskRequested(Request):
    """Show everything that lies on this disk."""


class PruneRequested(Request):
    """Delete what nobody goes on with, ``size`` bytes; with ``trash`` what was removed, before its day is over."""

    size: int
    trash: bool


class StarterRequested(Request):
    """Get the model that ships with Heft, and load it."""


class PickScreenRequested(Request):
    """Choose a model by answering questions."""


class CompareRequested(Request):
    """Show models side by side."""

    rows: tuple[ModelRow, ...]


class TrialsRequested(Request):
    """Show earlier trials."""


class TrialRequested(Request):
    """Show a trial."""

    trial_id: int


class NewTrialRequested(Request):
    """Put prompts to several models; ``names`` are those that take part already."""

    names: tuple[str, ...] = ()


class SeveralRequested(Request):
    """Get several models as they are published."""

    models: list[Model]


class FilterFormRequested(Request):
    """Show all filters, set as ``present``; ``count`` tells how many models a filter leaves."""

    present: Wanted
    choices: list[Choice]
    count: Callable[[Wanted], int]


class FiltersRequested(Request):
    """Choose among the kept filters; ``present`` is the one that is on."""

    present: Wanted
