"""System prompt and sampling of a conversation, from a preset or by hand. An empty field leaves the choice to the
endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, TextArea

from tui.chat.conversation import Parameters
from tui.chat.presets import Preset, Sampling
from tui.errors import UsageError
from tui.ui.lines.span import Line, Span, line
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.choices import Choice, Choices
from tui.ui.widgets.fixed_lines import FixedLines

FIELDS: tuple[tuple[str, type, str], ...] = (
    ("temperature", float, "0 is always the likeliest token"),
    ("top_p", float, "likeliest tokens up to this share"),
    ("top_k", int, "keep this many tokens"),
    ("min_p", float, "drop rarer than this share of the top"),
    ("repetition_penalty", float, "above 1 repeats less"),
    ("frequency_penalty", float, "-2 to 2: less of what came often"),
    ("presence_penalty", float, "-2 to 2: less of what came at all"),
    ("max_tokens", int, "longest answer in tokens"),
    ("seed", int, "same seed, same answer"),
    ("stop", str, "end the answer at these, split by |"),
)
_MAY_BE_NEGATIVE = ("seed", "frequency_penalty", "presence_penalty")


@dataclass(frozen=True, slots=True)
class SamplingChosen:
    """What was applied; ``keep_as`` is the name of a preset that shall hold it, or empty."""

    sampling: Sampling
    keep_as: str = ""


def read_field(name: str, kind: type, text: str) -> Any:
    """The value of a field; None (or no texts) when it is empty. Raises ``UsageError``."""
    text = text.strip()
    if name == "stop":
        return tuple(part for part in text.split("|") if part)
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is not a number") from None
    if value < 0 and name not in _MAY_BE_NEGATIVE:
        raise UsageError(f"{name} must not be negative")
    if name in ("top_p", "min_p") and value > 1:
        raise UsageError(f"{name} is a share between 0 and 1")
    if name.endswith("_penalty") and name in _MAY_BE_NEGATIVE and not -2 <= value <= 2:
        raise UsageError(f"{name} lies between -2 and 2")
    return value


def field_text(value: Any) -> str:
    """A value as it stands in its field."""
    if isinstance(value, tuple):
        return "|".join(value)
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


class PresetLine(Choices):
    """One line that shows the preset chosen; left and right go through them, up and down leave it."""

    def line_at(self, y: int) -> Line:
        """The name, whose preset it is, and how many there are."""
        choice = self.choices[0]
        here = self.has_focus
        of = f"{choice.at} of {len(choice.values) - 1}" if choice.at else f"{len(choice.values) - 1} to choose from"
        whose = {"own": "yours", "model": "by the model's makers"}.get(getattr(choice.value, "source", ""), "")
        return line(
            Span("preset".ljust(20), "dim"),
            Span("‹ ", "key" if here else "faint"),
            Span(choice.words[choice.at], "accent"),
            Span(" ›", "key" if here else "faint"),
            Span(f"  {whose + ', ' if whose else ''}{of}; ← → change it", "dim"),
        )

    def action_move(self, step: int) -> None:
        """To the line below, or to the last one."""
        self.screen.focus_next() if step > 0 else self.screen.focus_previous()


class SystemPrompt(TextArea):
    """A text of several lines; up on its first and down on its last one leave it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j", "newline", "new line", id="parameters.newline", show=False),
    ]

    def action_newline(self) -> None:
        """A line break; enter applies."""
        self.insert("\n")

    def action_cursor_up(self, select: bool = False) -> None:
        """Up, or out."""
        if self.cursor_at_first_line and not select:
            self.screen.focus_previous()
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Down, or out."""
        if self.cursor_at_last_line and not select:
            self.screen.focus_next()
        else:
            super().action_cursor_down(select)


class ParametersScreen(Dialog[SamplingChosen]):
    """One field per line; enter applies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "apply", id="parameters.apply", priority=True),
        Binding("up", "app.focus_previous", "Up", show=False, id="parameters.up"),
        Binding("down", "app.focus_next", "Down", show=False, id="parameters.down"),
    ]
    LARGE = False
    DEFAULT_CSS = """
    ParametersScreen.-small > #box { width: 100; }
    ParametersScreen Horizontal { height: 1; }
    ParametersScreen #system-row { height: auto; max-height: 5; }
    ParametersScreen .label { width: 20; }
    ParametersScreen Input { width: 14; background: $surface; }
    ParametersScreen #system {
        width: 1fr; height: auto; max-height: 5; border: none; padding: 0; background: $surface;
    }
    ParametersScreen #keep-as { width: 24; }
    ParametersScreen .words { width: 1fr; margin-left: 2; }
    """

    def __init__(self, sampling: Sampling, model: str = "") -> None:
        super().__init__(f"System prompt and sampling{f' of {model}' if model else ''}")
        self._sampling = sampling
        self._model = model
        self._presets: Sequence[Preset] = ()

    def body(self) -> ComposeResult:
        """The presets, the fields, and a name to keep them under."""
        yield PresetLine([Choice("preset", "preset", [None], ["as it is"])], id="presets")
        with Horizontal(id="system-row"):
            yield FixedLines([line(Span("system prompt", "dim"))], classes="label")
            yield SystemPrompt(self._sampling.system, id="system", compact=True, soft_wrap=True, placeholder="none")
        for name, _, words in FIELDS:
            shown = field_text(getattr(self._sampling.parameters, name))
            with Horizontal():
                yield FixedLines([line(Span(name, "dim"))], classes="label")
                yield Input(shown, id=f"field-{name}", compact=True, placeholder="default")
                yield FixedLines([line(Span(words, "dim"))], classes="words")
        with Horizontal():
            yield FixedLines([line(Span("keep as preset", "dim"))], classes="label")
            yield Input("", id="keep-as", compact=True, placeholder="a name", disabled=not self._model)
            words = "for this model; “default” is used for every new chat with it" if self._model else "load a model"
            yield FixedLines([line(Span(words, "dim"))], classes="words")

    @property
    def system(self) -> TextArea:
        """The system prompt."""
        return self.query_one("#system", TextArea)

    def on_mount(self) -> None:
        """Start with the system prompt."""
        self.system.focus()

    def show_presets(self, presets: Sequence[Preset]) -> None:
        """They came: left and right on the first line go through them."""
        if not self.is_open:
            return
        self._presets = presets
        choices = self.query_one("#presets", PresetLine)
        names = ["as it is", *(preset.name for preset in presets)]
        choices.choices = [Choice("preset", "preset", [None, *presets], names)]
        choices.relay()

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Fill the fields from a preset; one of Heft or of the model leaves the system prompt alone."""
        preset = event.choice.value
        sampling = self._sampling if preset is None else preset.sampling
        if preset is None or preset.source == "own":
            self.system.text = sampling.system
        for name, _, _ in FIELDS:
            self.query_one(f"#field-{name}", Input).value = field_text(getattr(sampling.parameters, name))

    def action_apply(self) -> None:
        """Take the values."""
        parameters: Parameters = self._sampling.parameters
        try:
            for name, kind, _ in FIELDS:
                value = read_field(name, kind, self.query_one(f"#field-{name}", Input).value)
                parameters = replace(parameters, **{name: value})
        except UsageError as error:
            self.app.notify(error.summary, severity="error")
            return
        sampling = Sampling(self.system.text.strip(), parameters)
        self.dismiss(SamplingChosen(sampling, " ".join(self.query_one("#keep-as", Input).value.split())[:40]))
