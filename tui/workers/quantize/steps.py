"""What a person sees while a model is quantized: the phase, the layer, its loss and the memory it took."""

from __future__ import annotations

import re
import time
from typing import Any

from tui.workers.libraries import peak_memory
from tui.workers.quantize.spent import Spent, now
from tui.workers.reporter import Reporter

LONG_LAYER = 60.0
"""Seconds of a first layer after which a dry run looks at no second one: there warming up does not count."""


class DryRunDone(BaseException):
    """A dry run has seen enough. No library may take it for an error."""


class Steps:
    """Turns events of the quantizing libraries into progress, counted in layers.

    ``check`` is called at every event, so that a wish to stop is heard wherever a library lets us in. In a ``dry`` run
    ``DryRunDone`` is raised when two layers are done, or one that was long.
    """

    def __init__(self, reporter: Reporter, layers: int) -> None:
        self.reporter = reporter
        self.layers = layers
        self.peak = 0
        self.losses: dict[str, float] = {}
        self.layer_losses: dict[int, list[float]] = {}
        self.dry = False
        self.starts: list[Spent] = []
        """When each layer began."""
        self.handovers: dict[int, Spent] = {}
        """When the matrices of each layer were done; what comes then prepares the inputs of the next one."""
        self.seconds: dict[str, float] = {}
        self._done = 0.0
        self._phase = ""
        self._began = time.monotonic()

    def phase(self, name: str, message: str = "") -> None:
        """Begin a phase: loading, calibrating, layers, packing, saving, verifying."""
        self.reporter.check()
        moment = time.monotonic()
        if self._phase:
            self.seconds[self._phase] = round(self.seconds.get(self._phase, 0.0) + moment - self._began, 3)
        self._phase, self._began = name, moment
        self.reporter.say(message or name)
        self.tell(message or name)

    def layer(self, layer: int, part: float, modules: str, loss: float | None = None) -> None:
        """Layer ``layer`` (from 0) is done to ``part`` of 1; ``modules`` names what is being worked on."""
        self.reporter.check()
        while len(self.starts) <= layer:
            self.starts.append(now())
        if part >= 1.0:
            self.handovers.setdefault(layer, now())
        if self.dry and layer > 0 and (layer > 1 or (self.starts[1] - self.starts[0]).wall > LONG_LAYER):
            raise DryRunDone
        self._done = max(self._done, layer + part)
        details: dict[str, Any] = {} if loss is None else {"loss": loss}
        self.tell(f"layer {layer + 1} of {self.layers}: {modules}", **details)

    def tell(self, message: str, **details: Any) -> None:
        """Say a message without moving on."""
        self.peak = max(self.peak, peak_memory())
        self.reporter.progress(
            done=round(self._done, 3),
            total=self.layers,
            unit="layers",
            message=message,
            phase=self._phase,
            memory=self.peak,
            losses=self.mean_losses(),
            **details,
        )

    def note_loss(self, name: str, loss: Any) -> float | None:
        """Keep the loss of a module called ``LAYER.NAME``; the libraries give a number or a text such as
        "0.0000771321"."""
        text = str(loss)
        if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is None:
            return None
        self.losses[name] = float(text)
        layer = name.partition(".")[0]
        if layer.isdecimal():
            self.layer_losses.setdefault(int(layer), []).append(self.losses[name])
        return self.losses[name]

    def mean_losses(self) -> list[float]:
        """The mean loss of each layer so far, in order."""
        return [float(f"{sum(found) / len(found):.4g}") for _, found in sorted(self.layer_losses.items())]
