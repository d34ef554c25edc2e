"""``heft models``, ``heft show`` and ``heft fit``: what exists, and whether it fits."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, replace
from typing import Any

from tui.catalog.hub import HubFile
from tui.catalog.model import Model, ModelFilter
from tui.catalog.needed_files import gguf_choices, needed_files
from tui.catalog.search import search
from tui.cli.facts import build_facts, fit_facts, model_facts
from tui.cli.output import Output
from tui.errors import HeftError, HubUnreachableError
from tui.fit.ladder import Rung
from tui.fit.needed import GIGA, Need, build_needs
from tui.fit.quantize_fit import QuantizeFit
from tui.fit.verdict import Fit, Verdict
from tui.quantities import bytes_text, count_text
from tui.workbench import Workbench

MARKS = {Verdict.FITS: "✓", Verdict.FITS_EMPTY: "◐", Verdict.DOES_NOT_FIT: "✗", Verdict.UNKNOWN: "?"}


def list_models(arguments: Namespace, output: Output) -> int:
    """Print the rows that the filters leave, the curated ones first."""
    bench = Workbench()
    wanted = ModelFilter(
        text=arguments.text,
        task=arguments.task,
        family=arguments.family,
        license=arguments.license,
        commercial=arguments.commercial,
        min_params=arguments.min_params,
        max_params=arguments.max_params,
        open_only=arguments.open,
        api_only=arguments.api,
        sort=arguments.sort,
        limit=None if arguments.fits or arguments.installed or arguments.ungated else arguments.limit,
    )
    found = bench.models(wanted)
    if arguments.installed:
        found += search(bench.other_models(), replace(wanted, limit=None))
    if arguments.hub:
        known = {model.repo for model in found if model.repo}
        hub = bench.search_hub(
            arguments.text,
            arguments.limit or 50,
            arguments.task,
            min_params=arguments.min_params,
            max_params=arguments.max_params,
            ungated=arguments.ungated,
        )
        rest = search(hub, replace(wanted, text="", task="", limit=None))
        found += [model for model in rest if model.repo not in known]
    for problem in bench.catalog().problems:
        output.note(f"heft: {problem}")
    seen, installed = bench.snapshot(), bench.installed()
    if arguments.installed:
        found = [model for model in found if model.id in installed or (model.repo and model.repo in installed)]
    if arguments.ungated:
        found = [model for model in found if not model.gated]
    fits = {model.id: bench.best_fit(model, seen) for model in found}
    if arguments.fits:
        found = [model for model in found if fits[model.id].verdict is Verdict.FITS]
    found = found[: arguments.limit]
    output.document([model_facts(model) | _short(fits[model.id], model, installed) for model in found])
    rows = [_row(model, fits[model.id], installed) for model in found]
    heads = ["MODEL", ">PARAMS", ">CONTEXT", "LICENSE", "KIND", "FIT", "HERE", "SOURCE"]
    output.table(heads, rows, "no model matches; heft models --hub TEXT searches the hub")
    return 0


def _short(fit: Fit, model: Model, installed: frozenset[str]) -> dict[str, Any]:
    best = {"verdict": str(fit.verdict), "precision": fit.precision, "total": fit.total, "reason": fit.reason}
    return {"fit": best, "installed": model.id in installed or model.repo in installed}


def _row(model: Model, fit: Fit, installed: frozenset[str]) -> list[str]:
    here = "yes" if model.id in installed or (model.repo and model.repo in installed) else ""
    fits = model.unusable_because or ("api" if model.is_api else f"{MARKS[fit.verdict]} {fit.precision}".strip())
    numbers = [count_text(model.params), count_text(model.context_length)]
    return [model.id, *numbers, model.license or "—", model.kind, fits, here, model.source]


def show(arguments: Namespace, output: Output) -> int:
    """Print one model: facts, sizes and fit per precision, its builds, its card."""
    bench = Workbench()
    model = _measured(bench, bench.model(arguments.model), arguments.hub, output)
    card = bench.card(model)
    fits = bench.fits(model)
    builds = [build for build in bench.builds() if {build.model, build.repo} & {model.id, model.repo}]
    facts = model_facts(model) | {
        "shape": asdict(model.shape),
        "tensors": asdict(model.tensors) if model.tensors else None,
        "api": asdict(model.api) if model.api else None,
        "license_url": model.license_url,
        "strengths": model.strengths,
        "limitations": model.limitations,
        "dataset": model.dataset,
        "tokens_trained": model.tokens_trained,
        "base_model": model.base_model,
        "alt_repos": list(model.alt_repos),
        "ollama": model.ollama,
        "note": model.note,
        "facts_source": model.facts_source,
        "confidence": model.confidence,
        "files": (files := _files(bench, model, output)),
        "gguf": _gguf(files),
        "needs": [asdict(need) for need in bench.needs(model)],
        "contexts": {
            label: [asdict(rung) | {"verdict": str(rung.verdict)} for rung in rungs]
            for label, rungs in bench.ladders(model).items()
        },
        "card": {"text": card.text, "sections": card.sections, "source": card.source},
        "fits": [fit_facts(fit) for fit in fits],
        "sizes": {fit.precision: fit.weights for fit in fits},
        "builds": [build_facts(build) for build in builds],
    }
    output.document(facts)
    output.text(f"{model.name}  ({model.id})")
    if model.unusable_because:
        output.text(f"cannot be used: {model.unusable_because}")
    rows = [
        ("repository", model.place or "—"),
        ("parameters", count_text(model.params) + (" (estimate)" if model.params_is_estimate else "")),
        ("context", f"{count_text(model.context_length)} tokens"),
        ("licence", f"{model.license or '—'}; commercial use: {model.commercial_use or 'unknown'}"),
        ("gated", "yes" if model.gated else "no"),
        ("kind", model.kind),
        ("builds here", ", ".join(build.id for build in builds) or "none"),
    ]
    for name, value in rows:
        output.text(f"  {name:<12} {value}")
    for fit in fits:
        here = f"; {fit.measured.words}" if fit.measured else ""
        output.text(f"  {fit.precision:<12} {bytes_text(fit.weights):>8}  {MARKS[fit.verdict]} {fit.reason}{here}")
    output.text()
    output.text(card.text)
    return 0


def _files(bench: Workbench, model: Model, output: Output) -> list[dict[str, Any]] | None:
    """The published files, with those that a download fetches marked; None where they cannot be had. The hub is asked
    for JSON alone, which nobody waits for at a keyboard."""
    if not output.as_json or model.is_api or model.unusable_because:
        return None
    try:
        files = bench.files(model)
    except HeftError as error:
        output.note(f"heft: the files are not known: {error.summary}")
        return None
    needed = {file.path for file in needed_files(files, model.gguf)}
    return [{"path": file.path, "size": file.size, "downloaded": file.path in needed} for file in files]


def _gguf(files: list[dict[str, Any]] | None) -> dict[str, int]:
    """The GGUF quantizations to choose from, with their bytes: NAME:q8_0 asks for one."""
    return gguf_choices([HubFile(str(file["path"]), int(file["size"]), "", "") for file in files or ()])


def fit(arguments: Namespace, output: Output) -> int:
    """Print the estimate with every term, and the verdict; exit code 5 when it does not fit."""
    bench = Workbench()
    builds = {build.id: build for build in bench.builds()}
    needed: tuple[Need, ...]
    model: Model | None = None
    if arguments.model in builds and not arguments.precision and not arguments.batch > 1:
        answer = bench.fit_build(builds[arguments.model], arguments.context, arguments.memory)
        needed = build_needs(builds[arguments.model], arguments.context)
    else:
        model = _measured(bench, bench.model(arguments.model), arguments.hub, output)
        answer = bench.fit(
            model,
            precision=arguments.precision,
            context=arguments.context,
            batch=arguments.batch,
            memory=arguments.memory,
        )
        needed = bench.needs(model, arguments.context, arguments.batch)
    contexts, job = _beside(bench, model, answer, arguments)
    output.document(
        fit_facts(answer)
        | {
            "needs": [asdict(need) for need in needed],
            "contexts": [asdict(rung) | {"verdict": str(rung.verdict)} for rung in contexts],
            "quantize": asdict(job) | {"verdict": str(job.verdict)} if job else None,
        }
    )
    head = f"{arguments.model} in {answer.precision or 'its published precision'}"
    output.text(f"{head}, {answer.context} tokens of context, batch {answer.batch}, on {answer.device}")
    for name in ("weights", "kv_cache", "overhead", "total", "free", "capacity"):
        output.text(f"  {name.replace('_', ' '):<10} {bytes_text(getattr(answer, name)):>10}")
    if answer.parts:
        output.text("  of which:")
    for name, size in answer.parts:
        output.text(f"    {bytes_text(size):>10}  {name}")
    for note in answer.notes:
        output.text(f"  {note}")
    if answer.measured:
        output.text(f"  {answer.measured.words}")
    output.text(f"{MARKS[answer.verdict]} {answer.reason}")
    if answer.better:
        output.text(f"  {answer.better}")
    for device in answer.devices if len(answer.devices) > 1 else ():
        output.text(f"    {MARKS[device.verdict]} {device.device}: {device.reason}")
    if contexts:
        output.text("  contexts   " + "  ".join(f"{MARKS[it.verdict]} {count_text(it.context)}" for it in contexts))
    if job:
        output.text(f"  making a 4-bit build: {MARKS[job.verdict]} {job.reason}")
    cards = [f"{_card(need)} in {need.precision}" for need in needed if need.total is not None]
    if cards:
        output.text(f"  it would need {', '.join(cards)}")
    return 5 if answer.verdict is Verdict.DOES_NOT_FIT else 0


def _beside(
    bench: Workbench, model: Model | None, answer: Fit, arguments: Namespace
) -> tuple[tuple[Rung, ...], QuantizeFit | None]:
    """How long a text there is room for, and what making a 4-bit build takes; neither for a build on this disk."""
    if model is None:
        return (), None
    rungs = bench.ladders(model, (answer.precision,), arguments.batch, arguments.memory) if answer.total else {}
    return rungs.get(answer.precision, ()), bench.quantize_fit(model) if arguments.memory is None else None


def _card(need: Need) -> str:
    return "more than any one card" if need.card is None else f"a {need.card // GIGA} GB card"


def _measured(bench: Workbench, model: Model, ask: bool, output: Output) -> Model:
    """The model with the hub's facts and exact weights, where the catalog does not know them or ``ask`` wants them; a
    hub that does not answer is told, and what the catalog says serves."""
    known = model.shape.layers is not None and (model.params is not None or model.weights_bytes is not None)
    if (known and not ask) or model.is_api or not model.repo or model.is_local_folder or model.unusable_because:
        return model
    try:
        model = bench.known(model)
    except HubUnreachableError as error:
        if model.source == "hub":
            raise
        output.note(f"heft: {error.summary}; the catalog's numbers are used")
        return model
    try:
        return bench.with_tensors(model)
    except HeftError as error:
        numbers = "hub's counts" if model.source == "hub" else "catalog's numbers"
        output.note(f"heft: exact weights cannot be read: {error.summary}; the {numbers} are used")
        return model
