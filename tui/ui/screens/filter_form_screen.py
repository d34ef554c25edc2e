"""All filters of the catalog in one form, with how many models are left at every change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.ui.catalog_index import REACH, SIZES, SORTS, Wanted, commonest
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.choices import Choice, Choices

if TYPE_CHECKING:
    from tui.catalog.model import Model

LICENSES, FAMILIES = 14, 40
"""How many of the commonest are offered; words like license:mit in the filter find the others."""


def filter_choices(present: Wanted, models: Sequence[Model], tasks: Sequence[str]) -> list[Choice]:
    """One line for each filter, set as ``present`` is."""
    licenses = commonest((model.license for model in models), LICENSES)
    families = sorted(commonest((model.family for model in models), FAMILIES), key=str.lower)
    lines = [
        _choice("task", "task", ["", *tasks], present.task),
        _choice("size", "parameters", ["", *SIZES], present.size),
        _choice("license", "licence", ["", *licenses], present.license),
        _choice("family", "family", ["", *families], present.family),
        _choice("reach", "weights", list(REACH), present.reach, ("any", "open", "API")),
        _choice("commercial", "commercial use", [False, True], present.commercial, ("any", "allowed")),
        _choice("ungated", "gated", [False, True], present.ungated, ("any", "only without a gate")),
        _choice("fits", "fits now", [False, True], present.fits, ("any", "yes")),
        _choice("installed", "here", [False, True], present.installed, ("any", "yes")),
        _choice("sort", "order", list(SORTS), present.sort),
    ]
    return lines


def _choice(name: str, label: str, values: list[object], present: object, words: Sequence[str] = ()) -> Choice:
    if present not in values:
        values = [*values, present]
        words = ()
    return Choice(name, label, values, words or [str(value) or "any" for value in values], values.index(present))


class FilterFormScreen(Dialog[Wanted]):
    """Answers with the filter to use, or None."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "use", "use it", id="form.use", priority=True),
        Binding("left,right", "none", "change", id="form.change"),
        Binding("r", "reset", "all models", id="form.reset"),
    ]
    DEFAULT_CSS = "FilterFormScreen.-small > #box { width: 84; }"

    def __init__(self, present: Wanted, choices: list[Choice], count: Callable[[Wanted], int]) -> None:
        super().__init__("Filters")
        self._present = present
        self._choices = choices
        self._count = count

    def body(self) -> ComposeResult:
        """The form."""
        yield Choices(self._choices, id="form")

    @property
    def wanted(self) -> Wanted:
        """The filter that the form stands for; the text stays as it was."""
        values = {choice.name: choice.value for choice in self.query_one(Choices).choices}
        return Wanted(text=self._present.text, **values)

    def on_mount(self) -> None:
        """Say how many there are."""
        self.query_one(Choices).focus()
        self._tell()

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Another filter leaves other models."""
        event.stop()
        self._tell()

    def _tell(self) -> None:
        count = self._count(self.wanted)
        beside = f" that hold {self._present.text!r}" if self._present.text else ""
        self.retitle("Filters", f"{count:,} {'model' if count == 1 else 'models'}{beside}")

    def action_none(self) -> None:
        """The form itself reads these keys."""

    def action_reset(self) -> None:
        """Filter nothing."""
        for choice in self._choices:
            choice.at = 0
        self.query_one(Choices).relay()
        self._tell()

    def action_use(self) -> None:
        """Filter so."""
        self.dismiss(self.wanted)
