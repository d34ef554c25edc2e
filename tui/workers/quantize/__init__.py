"""Quantize: make a build from another one with GPTQ, and prove that it is right before it gets its name.

    tui.fit.quantize_plan  what the recipe means for this source; refuses in words before anything heavy loads
    gptqmodel_route.py  GPTQModel's own loop, which can stop and resume
    optimum_route.py    transformers + optimum, for architectures that the loop takes apart
    rounding.py         the same loop without calibration (RTN), which has no callbacks
    scaling.py          which of AWQ's scalings leave a model as it is
    dry_run.py          one layer for real, to say what the whole would take
    probes.py           what each layer shall answer, noted while it is in memory
    assembly.py         from what a library saved to a build that everybody can load
    checking.py         runs ``tui.workers.verify`` in a fresh process and judges
    steps.py            progress in phases and layers

All is written to a hidden folder of this job; the last act is a rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.catalog.build import Quality, Recipe
from tui.catalog.build_card import CARD_FILE, card_text
from tui.catalog.build_folder import folder_problem
from tui.catalog.provenance import quality_of, read_provenance, recipe_of, write_provenance
from tui.catalog.recipes import recipe_from_table
from tui.catalog.weight_files import weights_size
from tui.errors import BuildBrokenError, RecipeError
from tui.fit.outlook import work_of
from tui.fit.quantize_plan import Plan, make_plan
from tui.settings import load_settings
from tui.workers.calibration import Calibration, calibration, scoring_texts, text_sha256
from tui.workers.libraries import cpu_seconds, device_of, has_native_bfloat16, load_libraries, versions
from tui.workers.new_build import origin_of, require_same, target_of
from tui.workers.quantize.assembly import commit, file_hashes, finish, require_room, source_hashes
from tui.workers.quantize.checking import check_build
from tui.workers.quantize.dry_run import predicted, some_layers
from tui.workers.quantize.probes import ProbeNotes, is_same
from tui.workers.quantize.spent import now
from tui.workers.quantize.steps import Steps
from tui.workers.reporter import Reporter
from tui.workers.weights import release_memory

LEAVE_SECONDS = 1.5
"""How long after a wish to stop this worker is forced to leave; its half-made folder is gone before that."""


def run(reporter: Reporter) -> dict[str, Any]:
    """Carry out the recipe of ``reporter.job`` and return the new build's name, path, bytes and quality.

    Raises ``RecipeError`` when the recipe cannot work, ``BuildBrokenError`` when the source is not whole or the result
    does not reload as what was quantized, ``OSError`` when the disk is full.
    """
    started = time.monotonic()
    reporter.grace = LEAVE_SECONDS
    source = reporter.source()
    recipe = recipe_from_table(reporter.job.spec.get("recipe"))
    target = target_of(reporter.paths, str(reporter.job.spec.get("name") or ""))
    reporter.progress(0, message="looking at the source")
    plan = make_plan(source, recipe, device=device_of(reporter.job.device), native_bfloat16=has_native_bfloat16())
    hashes = source_hashes(source)
    if target.exists():
        return _existing(target, recipe, hashes)
    making = reporter.paths.builds / f".making-{reporter.job.id}"
    shutil.rmtree(making, ignore_errors=True)
    with _removed_when_stopped(reporter, making):
        return _make(reporter, plan, hashes, making, target, started)


def fingerprint(recipe: Recipe, hashes: dict[str, str], rows: Calibration) -> str:
    """The same for two attempts that do exactly the same work with the same libraries."""
    text = json.dumps([asdict(recipe), hashes, rows.sha256, versions()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _make(
    reporter: Reporter, plan: Plan, hashes: dict[str, str], making: Path, target: Path, started: float
) -> dict[str, Any]:
    steps = Steps(reporter, plan.layers)
    steps.phase("loading", f"loading {plan.source.name} ({plan.model_type}, {plan.layers} layers, {plan.dtype})")
    importing = now()
    load_libraries(reporter.paths)
    importing = now() - importing
    reporter.check()
    tokenizer = _tokenizer(plan)
    recipe = plan.recipe
    rows = _calibration(reporter, tokenizer, plan)
    work = reporter.folder / "work"
    if not is_same(work, fingerprint(recipe, hashes, rows)):
        _empty(work)
        is_same(work, fingerprint(recipe, hashes, rows))
    os.chdir(work)  # GPTQModel writes a folder "logs" where it stands; this one is removed in the end
    notes = ProbeNotes(work / "probes")
    _require_room(reporter, plan, rows, making)
    making.mkdir(parents=True)
    if plan.route == "optimum":
        from tui.workers.quantize.optimum_route import quantize
    else:
        from tui.workers.quantize.gptqmodel_route import quantize
    if reporter.job.spec.get("dry_run"):
        layers = some_layers(lambda: quantize(plan, rows, making, work, notes, steps), steps)
        texts, _ = scoring_texts(plan.source, reporter.job.model)
        facts = predicted(plan, tokenizer, texts, layers, started, importing, steps)
        _clear(work, making)
        return facts
    quantize(plan, rows, making, work, notes, steps)
    finish(plan, making)
    _release_memory()
    problem = folder_problem(making)
    if problem:
        raise BuildBrokenError(f"what was saved is not whole: {problem}", "retry the job")
    steps.phase("verifying", "checking the saved build in a fresh process")
    texts, text_name = scoring_texts(plan.source, reporter.job.model)
    verdict = check_build(reporter, plan, making, notes, texts, steps)
    steps.phase("done", "naming the build")
    quality = Quality(
        **verdict["quality"],
        text=text_name,
        size_before=weights_size(plan.source),
        size_after=weights_size(making),
        limit=load_settings(reporter.paths.settings_file).quantize.loss_limit,
    )
    facts = {
        **origin_of(reporter, plan.source),
        "precision": recipe.label,
        "recipe": asdict(recipe),
        "route": plan.route,
        "loader": plan.loader,
        "source_sha256": hashes,
        "calibration": rows.facts() | {"warnings": rows.warnings(recipe)} if rows.rows else None,
        "quality": asdict(quality),
        "text_sha256": text_sha256(texts),
        "logits_distance": verdict["logits_distance"],
        "quantized_modules": verdict["quantized_modules"],
        "kernels": verdict["kernels"],
        "losses": steps.losses,
        "dtype": plan.dtype,
        "device": plan.device,
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": cpu_seconds(),
        "phases": steps.seconds,
        "work": work_of(
            sum(linear.in_features * linear.out_features for linear in plan.linears),
            max(linear.in_features for linear in plan.linears),
            recipe,
        ),
        "peak_memory": max(steps.peak, verdict["peak_memory"]),
    }
    (making / CARD_FILE).write_text(card_text(target.name, facts), encoding="utf-8")
    facts["files"] = file_hashes(making)
    write_provenance(making, facts)
    reporter.check()
    try:
        commit(making, target)
    except FileExistsError:
        return _existing(target, recipe, hashes)
    _clear(work)
    return _result(target, facts)


def _clear(*folders: Path) -> None:
    os.chdir("/")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _calibration(reporter: Reporter, tokenizer: Any, plan: Plan) -> Calibration:
    recipe = plan.recipe
    if recipe.method == "rtn":
        return Calibration((), "none", "")
    rows = calibration(
        tokenizer,
        file=recipe.calibration,
        samples=recipe.samples,
        sample_length=recipe.sample_length,
        context=plan.context,
        seed=recipe.seed,
        hub_cache=reporter.paths.hub_cache,
        check=reporter.check,
    )
    for warning in rows.warnings(recipe):
        reporter.say(f"warning: {warning}")
    return rows


def _existing(target: Path, recipe: Recipe, hashes: dict[str, str]) -> dict[str, Any]:
    provenance = read_provenance(target)
    same = recipe_of(provenance) == recipe and provenance.get("source_sha256") == hashes
    return _result(target, require_same(target, same))


def _result(target: Path, facts: dict[str, Any]) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in target.iterdir() if file.is_file())
    kept = ("quality", "quantized_modules", "logits_distance", "seconds", "peak_memory", "route", "loader", "kernels")
    quality = quality_of(facts)
    return {
        "build": target.name,
        "path": str(target),
        "bytes": size,
        **{key: facts.get(key) for key in kept},
        "flagged": quality is not None and quality.is_flagged,
    }


def _tokenizer(plan: Plan) -> Any:
    from transformers import AutoTokenizer
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if plan.model_type not in CONFIG_MAPPING:
        raise RecipeError(
            f"{plan.model_type} models need code of their own, which Heft does not run",
            "choose a model that transformers knows",
        )
    try:
        return AutoTokenizer.from_pretrained(plan.source)
    except (OSError, ValueError) as error:
        raise BuildBrokenError(
            f"the tokenizer of {plan.source.name} cannot be loaded: {error}", "download it again"
        ) from None


def _require_room(reporter: Reporter, plan: Plan, rows: Calibration, making: Path) -> None:
    require_room(reporter.paths.builds, plan.output_bytes, f"the build {making.name}")
    if plan.resumable:
        # Two generations of the inputs of a layer (float32), and the finished layers once more.
        states = 2 * rows.tokens * plan.hidden_size * 4
        require_room(reporter.folder, states + 2 * plan.output_bytes, "the checkpoint")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _release_memory() -> None:
    import gc

    gc.collect()
    release_memory()  # the check needs the memory that this process no longer does


@contextmanager
def _removed_when_stopped(reporter: Reporter, making: Path) -> Iterator[None]:
    # A library call can last longer than a stop may take, so a thread of its own clears the half-made folder.
    left = threading.Event()

    def watch() -> None:
        reporter.stop.wait()
        while not left.is_set():
            shutil.rmtree(making, ignore_errors=True)
            left.wait(0.2)

    threading.Thread(target=watch, name="remove-half-made", daemon=True).start()
    try:
        yield
    finally:
        if reporter.stop.is_set() or making.exists():
            shutil.rmtree(making, ignore_errors=True)
        left.set()
