"""How to get a model: as published or quantized, with every choice of the recipe and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Input

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model
from tui.catalog.recipes import NamedRecipe
from tui.fit.gguf_fit import GgufFile
from tui.jobs.preflight import Preflight
from tui.ui.lines.preflight_lines import preflight_lines
from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line
from tui.ui.messages import PlanChosen
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.screens.recipe_form import FORM, choices_for, fill_form, offer_files, recipe_of
from tui.ui.widgets.choices import Choices
from tui.ui.widgets.painted import LinesView

PAUSE = 0.2
_WIDTH = 76


class PreflightRequested(Request):
    """Work out what a plan takes; ``build`` are weights on this disk to start from."""

    screen: RecipeScreen
    model: Model
    recipe: Recipe | None
    build: Build | None = None


class RecipeSaveRequested(Request):
    """Keep a recipe under a name."""

    name: str
    recipe: Recipe


class DryRunRequested(Request):
    """Quantize one layer of a build, to see what the whole takes."""

    build: Build
    recipe: Recipe


class RecipeScreen(Dialog[PlanChosen]):
    """Answers with a plan, or None."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "start", id="recipe.go", priority=True),
        Binding("left,right", "none", "change", id="recipe.change"),
        Binding("s", "save", "save the recipe", id="recipe.save"),
        Binding("d", "dry_run", "dry run", id="recipe.dry_run"),
    ]
    DEFAULT_CSS = """
    RecipeScreen.-small > #box { width: 92; padding: 0 2; }
    RecipeScreen Input { margin: 0 0 0 17; width: 1fr; background: $surface; }
    RecipeScreen #preflight { height: auto; margin-top: 1; }
    """

    def __init__(self, model: Model, build: Build | None = None, recipes: Sequence[NamedRecipe] = ()) -> None:
        super().__init__(f"Quantize {build.id}" if build else f"Get {model.name}")
        self._model = model
        self._build = build
        self._recipes = recipes
        self._found: Preflight | None = None
        self._timer: Timer | None = None
        self._naming = False

    def body(self) -> ComposeResult:
        """The form, and what it takes."""
        yield Choices(choices_for(self._recipes, from_build=self._build is not None), id="form")
        yield Input(placeholder="path of a text or JSONL file", id="calibration-file", compact=True)
        yield Input(placeholder="a name for this recipe; enter saves it", id="recipe-name", compact=True)
        yield LinesView(id="preflight", can_focus=False)

    @property
    def form(self) -> Choices:
        """The choices."""
        return self.query_one(Choices)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe chosen now."""
        return recipe_of(self.form, self._recipes, self.query_one("#calibration-file", Input).value.strip())

    @property
    def wanted(self) -> Model:
        """The model, with the GGUF file of it that is chosen where there are several."""
        file = self.form.choice("file")
        return file.value if file.shown else self._model

    def show_files(self, files: Sequence[GgufFile]) -> None:
        """The repository holds several GGUF files: one of them is fetched."""
        if files and self.is_open:
            offer_files(self.form, files)
            self.on_choices_changed(Choices.Changed(self.form.choice("what")))

    def on_mount(self) -> None:
        """Ask at once."""
        for field in self.query(Input):
            field.display = False
        self.form.focus()
        self._ask()

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Other lines apply, other totals."""
        what = self.form.value("what")
        if event.choice.name == "what" and what not in ("original", "custom"):
            fill_form(self.form, next(named.recipe for named in self._recipes if named.name == what))
        for choice in self.form.choices:
            if choice.name in FORM:
                choice.shown = what == "custom"
            elif choice.name == "calibration":
                choice.shown = what != "original"
            elif choice.name == "file":
                choice.shown = what == "original" and len(choice.values) > 1
        self.form.relay()
        file = what != "original" and self.form.value("calibration") == "file"
        self.query_one("#calibration-file", Input).display = file
        self._ask_soon()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another calibration file."""
        if event.input.id == "calibration-file":
            self._ask_soon()

    def _ask_soon(self) -> None:
        if self._timer:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE, self._ask)

    def _ask(self) -> None:
        self._found = None
        self.query_one("#preflight", LinesView).set_lines([line(Span(" working out what it takes …", "dim"))])
        self.post_message(PreflightRequested(self, self.wanted, self.recipe, self._build))

    def show_preflight(self, found: Preflight) -> None:
        """The totals came."""
        self._found = found
        if self.is_open:
            rows = self._about()
            self.query_one("#preflight", LinesView).set_lines([*rows, *preflight_lines(found, _WIDTH)])

    def _about(self) -> list[Line]:
        what = self.form.value("what")
        named = next((named for named in self._recipes if named.name == what), None)
        if named is None or not named.about:
            return []
        return [line(Span(" "), Span(f"{named.name}: ", "strong"), Span(named.about, "dim"))]

    def show_problem(self, summary: str, hint: str) -> None:
        """The totals cannot be had."""
        if self.is_open:
            rows = wrap_line(line(Span("✗ ", "bad"), Span(summary, "bad")), _WIDTH, "  ")
            rows += [BLANK, *wrap_line(line(Span(hint, "dim")), _WIDTH)] if hint else []
            self.query_one("#preflight", LinesView).set_lines([line(Span(" "), *row) for row in rows])

    def why_not(self, action: str) -> str:
        """Saving wants a recipe; a dry run wants weights that are here."""
        if action in ("save", "dry_run") and self.is_mounted and self.recipe is None:
            return "the model as published needs no recipe"
        if action == "dry_run" and self._build is None:
            return "a dry run wants weights on this disk: choose them in the builds list (b)"
        return ""

    def action_none(self) -> None:
        """The form itself reads these keys."""

    def action_save(self) -> None:
        """Ask for a name."""
        if reason := self.why_not("save"):
            self.app.notify(reason, severity="warning")
            return
        self._naming = True
        field = self.query_one("#recipe-name", Input)
        field.display = True
        field.focus()

    def _save(self) -> None:
        field = self.query_one("#recipe-name", Input)
        name, recipe = field.value.strip(), self.recipe
        self._naming, field.display = False, False
        self.form.focus()
        if name and recipe is not None:
            self.post_message(RecipeSaveRequested(name, recipe))

    def show_saved(self, named: NamedRecipe) -> None:
        """It is saved, and can be chosen from now on."""
        self._recipes = [*(other for other in self._recipes if other.name != named.name), named]
        if self.is_open:
            what = self.form.choices[0]
            fresh = choices_for(self._recipes, from_build=self._build is not None)[0]
            what.values, what.words = fresh.values, fresh.words
            what.at = list(what.values).index(named.name)
            self.on_choices_changed(Choices.Changed(what))

    def action_dry_run(self) -> None:
        """One layer, to see what the whole takes."""
        if reason := self.why_not("dry_run"):
            self.app.notify(reason, severity="warning")
            return
        recipe = self.recipe
        if self._build is not None and recipe is not None:
            self.post_message(DryRunRequested(self._build, recipe))
            self.dismiss(None)

    def action_leave(self) -> None:
        """Close; a name that is being typed is given up first."""
        if self._naming:
            self.query_one("#recipe-name", Input).value = ""
            self._save()
        else:
            self.dismiss(None)

    def action_go(self) -> None:
        """Start, unless something forbids it."""
        if self._naming:
            self._save()
            return
        if self._found is not None and self._found.problems:
            self.app.notify(self._found.problems[0], severity="error")
            return
        load = self._build is None and bool(self.form.value("load"))
        self.dismiss(PlanChosen(self.wanted, self.recipe, load, self._build))
