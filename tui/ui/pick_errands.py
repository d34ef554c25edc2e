"""What "pick for me" asks for: the screen, and the decision at every change of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.ui.errands import ErrandApp

if TYPE_CHECKING:
    from tui.ui.messages import PickScreenRequested
    from tui.ui.screens.pick_screen import PickRequested


class PickErrands(ErrandApp):
    """Answers the requests of the wizard."""

    def on_pick_screen_requested(self, event: PickScreenRequested) -> None:
        """Open the wizard."""
        from tui.ui.screens.pick_screen import PickScreen

        self.push_screen(PickScreen())

    def on_pick_requested(self, event: PickRequested) -> None:
        """Decide; of answers that change quickly only the last one counts."""
        wishes, memory, screen = event.wishes, event.memory, event.screen
        self.errand(
            lambda workbench: workbench.pick(wishes, memory),
            screen.show_picked,
            failed=lambda error: screen.show_problem(error.summary),
            group="pick",
        )
