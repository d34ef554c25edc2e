"""How the conversation on screen is answered: by whom, and with which system prompt and sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.chat.conversation import Parameters
from tui.chat.presets import Sampling
from tui.ui.errands import ErrandApp

if TYPE_CHECKING:
    from tui.chat.endpoint import Endpoint
    from tui.errors import HeftError
    from tui.ui.chat_messages import ParametersRequested
    from tui.ui.screens.parameters_screen import SamplingChosen
    from tui.workbench import Workbench


class SamplingErrands(ErrandApp):
    """Shows and changes the sampling of the present conversation."""

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__(workbench)
        self.endpoint: Endpoint | None = None
        self.endpoint_facts: dict[str, Any] = {}
        self.conversation = 0
        self.sampling = Sampling("", Parameters())

    def on_parameters_requested(self, event: ParametersRequested) -> None:
        """Change the system prompt and the sampling; what is set for a model is kept for its next conversation."""
        from tui.ui.screens.parameters_screen import ParametersScreen

        model = self.sampling_model

        def applied(chosen: SamplingChosen | None) -> None:
            if chosen is None:
                return
            self.sampling, conversation = chosen.sampling, self.conversation

            def work(workbench: Workbench) -> None:
                if conversation:
                    workbench.transcripts().set_parameters(conversation, chosen.sampling.parameters)
                if chosen.keep_as and model:
                    workbench.keep_preset(model, chosen.keep_as, chosen.sampling)

            words = f"kept as {chosen.keep_as!r} for {model}" if chosen.keep_as and model else ""
            self.errand(work, lambda _: self.tell(words) if words else None)

        screen = ParametersScreen(self.sampling, model)
        self.push_screen(screen, applied)
        self.errand(lambda workbench: workbench.presets(model), screen.show_presets, failed=self._no_presets)

    def _no_presets(self, error: HeftError) -> None:
        self.tell_error(error)

    @property
    def sampling_model(self) -> str:
        """The model that presets are kept for."""
        if self.endpoint is None:
            return ""
        return str(self.endpoint_facts.get("build") or self.endpoint.model or self.endpoint.name)
