"""Export: a build as one GGUF file for llama.cpp. A GPTQ build keeps its weights bit for bit.

    checkpoint.py     reads safetensors and GPTQ's packed weights with numpy
    blocks.py         GPTQ groups as llama.cpp's blocks
    architectures.py  names, order of rows, dimensions
    vocabulary.py     the tokenizer
    writing.py        the file
    checking.py       reads it back: weights and tokens

All is written to a hidden folder of this job; the last act is a rename.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tui import __version__
from tui.catalog.build_folder import folder_problem
from tui.catalog.gguf_plan import GgufPlan, plan_gguf
from tui.catalog.provenance import quality_of, read_provenance, recipe_of, write_provenance
from tui.errors import BuildBrokenError
from tui.workers.export.checking import Report, check_tokens, check_weights
from tui.workers.export.checkpoint import Checkpoint
from tui.workers.export.vocabulary import Vocabulary, read_vocabulary
from tui.workers.export.writing import EMBEDDING, write
from tui.workers.llama_cpp import LlamaCpp, own_address, why_not
from tui.workers.new_build import origin_of, require_same, target_of
from tui.workers.quantize.assembly import commit, require_room, source_hashes
from tui.workers.reporter import Reporter

_KEPT = ("generation_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "USE_POLICY.md")


def run(reporter: Reporter) -> dict[str, Any]:
    """Export the build of ``reporter.job``; returns the new build's name, path, bytes and how exact it is. Raises
    ``RecipeError`` where it would not be exact, ``BuildBrokenError`` for a build that is not whole."""
    spec = reporter.job.spec
    return export(reporter, reporter.source(), str(spec.get("name") or ""), str(spec.get("type") or "auto"))


def export(reporter: Reporter, source: Path, name: str, kind: str) -> dict[str, Any]:
    """Write the build in ``source`` as the GGUF build ``name``; the one that is there already where it is the same."""
    started = time.monotonic()
    reporter.grace = 1.5
    problem = folder_problem(source)
    if problem:
        raise BuildBrokenError(f"{source.name} is not whole: {problem}", "download or quantize it again")
    plan = plan_gguf(source, kind)
    target = target_of(reporter.paths, name)
    hashes = source_hashes(source)
    if target.exists():
        return _existing(target, plan, hashes)
    require_room(reporter.paths.builds, plan.bytes, f"the build {name}")
    making = reporter.paths.builds / f".making-{reporter.job.id}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    file = making / f"{name.removesuffix('-' + plan.type.lower())}-{plan.type}.gguf"
    try:
        report, vocabulary = _make(reporter, plan, file, origin_of(reporter, source))
        facts = _facts(reporter, plan, report, vocabulary, hashes)
        facts["seconds"] = round(time.monotonic() - started, 1)
        for kept in _KEPT:
            if (source / kept).is_file():
                shutil.copyfile(source / kept, making / kept)
        write_provenance(making, facts)
        reporter.check()
        try:
            commit(making, target)
        except FileExistsError:
            return _existing(target, plan, hashes)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return _result(target, facts)


def _make(reporter: Reporter, plan: GgufPlan, file: Path, origin: dict[str, str]) -> tuple[Report, Vocabulary]:
    checkpoint = Checkpoint(plan.source, bits=plan.bits, version=plan.version)
    vocabulary = read_vocabulary(plan.source, plan.config, checkpoint.shape(EMBEDDING)[0])
    reporter.say(
        f"{plan.source.name} as {plan.type} for llama.cpp's {plan.architecture}; tokens cut as {vocabulary.pre}"
    )
    for note in plan.notes:
        reporter.say(note)
    done, total = 0, 2 * sum(checkpoint.bytes(name) for name in checkpoint.names())

    def step(verb: str, tensor: str, size: int) -> None:
        nonlocal done
        reporter.check()
        done += size
        reporter.progress(done, total, "B", f"{verb} {tensor}", phase=verb)

    facts = {"general.name": origin["source_build"]}
    if origin["repo"]:
        facts["general.source.repo_url"] = f"https://huggingface.co/{origin['repo']}"
    written = write(plan, checkpoint, vocabulary, facts, file, lambda name, size: step("writing", name, size))
    report = check_weights(file, plan, checkpoint, written, lambda name, size: step("checking", name, size))
    report.notes += plan.notes
    reporter.progress(total, total, "B", "comparing tokens", phase="tokens")
    _check_tokens(reporter, plan, file, vocabulary, report)
    reporter.say(
        f"{report.packed} quantized tensors read back with a largest difference of {report.difference:g},"
        f" {report.tensors - report.packed} others of {report.others:.3g}; {report.tokens} tokens are the same"
    )
    return report, vocabulary


def _check_tokens(reporter: Reporter, plan: GgufPlan, file: Path, vocabulary: Vocabulary, report: Report) -> None:
    reason = why_not()
    if reason:
        report.notes.append(f"tokens were not compared: {reason}")
        return
    address = own_address(reporter.paths, reporter.job.id)
    llama = LlamaCpp(file, address, context=64, threads=1, light=True)
    try:
        report.tokens, note = check_tokens(
            lambda text, special: llama.tokens(text, special=special), plan.source, vocabulary
        )
    finally:
        llama.close()
    if note:
        report.notes.append(note)


def _facts(
    reporter: Reporter, plan: GgufPlan, report: Report, vocabulary: Vocabulary, hashes: dict[str, str]
) -> dict[str, Any]:
    before = read_provenance(plan.source)
    recipe, quality = recipe_of(before), quality_of(before)
    facts: dict[str, Any] = {
        **origin_of(reporter, plan.source),
        "precision": f"gguf-{plan.type.lower()}",
        "source_sha256": hashes,
        "export": {
            "type": plan.type,
            "exact": plan.exact,
            "max_difference": report.difference,
            "max_difference_of_others": report.others,
            "quantized_tensors": report.packed,
            "tensors": report.tensors,
            "tokens_compared": report.tokens,
            "context": plan.context,
            "pre": vocabulary.pre,
            "normalizes": vocabulary.normalizes,
            "notes": report.notes,
        },
        "versions": _versions(),
    }
    if recipe is not None:
        facts["recipe"] = asdict(recipe)
    if quality is not None and plan.exact:
        facts["quality"] = asdict(quality)  # the weights are the same
    return facts


def _versions() -> dict[str, str]:
    found = {"heft": __version__}
    for name in ("gguf", "xllamacpp", "numpy", "tokenizers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _existing(target: Path, plan: GgufPlan, hashes: dict[str, str]) -> dict[str, Any]:
    facts = read_provenance(target)
    made = facts.get("export") or {}
    same = facts.get("source_sha256") == hashes and made.get("type") == plan.type
    return _result(target, require_same(target, same))


def _result(target: Path, facts: dict[str, Any]) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in target.iterdir() if file.is_file())
    return {
        "build": target.name,
        "path": str(target),
        "bytes": size,
        **facts["export"],
        "seconds": facts.get("seconds"),
    }
