"""Does it fit: verdicts for models and builds on this machine, or on a card that is not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model
from tui.catalog.needed_files import gguf_choices, gguf_name
from tui.fit.gguf_fit import GgufFile, gguf_files
from tui.fit.ladder import Rung, ladders, precisions_of
from tui.fit.measured import device_kind
from tui.fit.memory_estimate import estimate_build, quantize_estimate
from tui.fit.needed import Need, needs
from tui.fit.precision import same_precision
from tui.fit.quantize_fit import QuantizeFit, judge_quantize
from tui.fit.ranking import best_fit
from tui.fit.remedies import takes_gptq
from tui.fit.verdict import Fit, fit_model, judge
from tui.hardware.snapshot import Snapshot
from tui.jobs.preflight import serve_fit
from tui.workbench.models import ModelRequests

if TYPE_CHECKING:
    from tui.pick.decision import Picked
    from tui.pick.wishes import Wishes


class FitRequests(ModelRequests):
    """Requests about memory."""

    def fit(
        self,
        model: Model,
        *,
        precision: str = "",
        context: int | None = None,
        batch: int = 1,
        memory: int | None = None,
        snapshot: Snapshot | None = None,
    ) -> Fit:
        """The estimate with every term and the verdict; ``memory`` bytes asks about a card that is not here."""
        seen = snapshot or self.snapshot()
        fit = fit_model(model, seen, precision=precision, context=context, batch=batch, memory=memory)
        return fit if memory is not None else self._with_measured([fit], model)[0]

    def needs(self, model: Model, context: int | None = None, batch: int = 1) -> tuple[Need, ...]:
        """What would I need? For each precision the smallest common card that takes ``model``."""
        return needs(model, context, batch)

    def fits(self, model: Model, context: int | None = None) -> list[Fit]:
        """One verdict for each precision that ``model`` can be had in, from most to fewest bytes."""
        seen = self.snapshot()
        fits = [fit_model(model, seen, precision=label, context=context) for label in precisions_of(model)]
        return self._with_measured(fits, model)

    def gguf_files(self, model: Model) -> tuple[GgufFile, ...]:
        """The quantizations of a repository that holds GGUF files, smallest first, each with its verdict; none where
        there is nothing to choose. Raises hub errors."""
        if model.gguf or not model.repo or model.is_local_folder:
            return ()
        repository = self.hub.repository(model.repo, model.revision)
        usual = [file.path for file in repository.needed_files if file.path.lower().endswith(".gguf")]
        choices = gguf_choices(repository.files)
        if not usual or len(choices) < 2:
            return ()
        known = replace(self._with_gguf(repository), id=model.id, name=model.name)
        return gguf_files(known, choices, gguf_name(usual[0]), self.snapshot())

    def ladders(
        self, model: Model, precisions: Sequence[str] = (), batch: int = 1, memory: int | None = None
    ) -> Mapping[str, tuple[Rung, ...]]:
        """How long a text: for each precision a verdict at every context length."""
        return ladders(model, self.snapshot(), precisions=precisions, batch=batch, memory=memory)

    def quantize_fit(self, model: Model, recipe: Recipe | None = None) -> QuantizeFit | None:
        """Whether making a 4-bit build (or ``recipe``) fits this machine; None where no build of it can be made."""
        if not takes_gptq(model):
            return None
        wanted = recipe or Recipe()
        return judge_quantize(quantize_estimate(model, wanted), wanted.label, self.snapshot())

    def _with_measured(self, fits: list[Fit], model: Model) -> list[Fit]:
        """``fits`` with what builds of the same precision really took here."""
        if not self.measured.all():
            return fits
        builds = [build for build in self.builds() if model.id == build.model or (model.repo or "-") == build.repo]
        found = []
        for fit in fits:
            same = [build.id for build in builds if same_precision(build.precision, fit.precision)]
            found.append(replace(fit, measured=self.measured.of(same, device_kind(fit.device), fit.context)))
        return found

    def best_fit(self, model: Model, snapshot: Snapshot | None = None) -> Fit:
        """The highest precision that fits now, for a column of a list."""
        return best_fit(model, snapshot or self.snapshot())

    def fit_build(self, build: Build, context: int | None = None, memory: int | None = None) -> Fit:
        """The same for weights on this disk, from their exact sizes."""
        seen = self.snapshot()
        if memory is None:
            fit = serve_fit(build, seen, context)[0]
            return replace(fit, measured=self.measured.of([build.id], device_kind(fit.device), fit.context))
        estimate = estimate_build(build, context)
        return judge(estimate, seen, memory=memory, precision=build.precision, context=context or 0)

    def pick(self, wishes: Wishes, memory: int | None = None) -> Picked:
        """The three models to try for ``wishes``, on this machine or on a card of ``memory`` bytes, with reasons."""
        from tui.pick.decision import machine_with, pick

        machine = self.snapshot() if memory is None else machine_with(memory)
        return pick(self._catalog.models, wishes, machine, self.installed())
