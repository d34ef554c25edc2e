"""The prompt field: enter comes after the letters that were typed before it, however slow the machine is."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult

from tui.ui.widgets.prompt_input import PromptInput


class Field(App[None]):
    """Nothing but the field."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield PromptInput(id="prompt")

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        self.sent.append(event.text)


def keys(text: str) -> list[events.Key]:
    return [events.Key("enter" if letter == "\r" else letter, letter) for letter in text]


async def test_enter_in_the_same_burst_sends_what_was_typed_before_it() -> None:
    app = Field()
    async with app.run_test() as pilot:
        app.query_one(PromptInput).focus()
        await pilot.pause()
        for key in keys("hello\r"):
            app.post_message(key)
        await pilot.pause()
        await pilot.pause()
        assert app.sent == ["hello"]


async def test_enter_can_be_given_another_meaning() -> None:
    app = Field()
    app.set_keymap({"prompt.send": "ctrl+g"})
    async with app.run_test() as pilot:
        app.query_one(PromptInput).focus()
        await pilot.press("a", "enter", "b")
        assert app.sent == []
        await pilot.press("ctrl+g")
        await pilot.pause()
        assert app.sent == ["a\nb"]
