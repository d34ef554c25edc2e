"""Which family quantizes with which method, and what it costs: one row per family and recipe, each made for real.

    python tests/benchmarks/families.py [--family llama ...] [--recipe gptq-4 ...] [--json FILE]
    python tests/benchmarks/families.py --table FILE ...     # one Markdown table of what several runs found

Each row quantizes a tiny model of the family (tests/families.py), reloads it in a fresh process, generates with it and
measures it; or says why it is refused before a job starts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.update(GPTQMODEL_CPU_WORKERS="2", TORCHDYNAMO_DISABLE="1", HF_HUB_OFFLINE="1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # the check runs in a process of its own

from tests.families import FAMILIES, STEPS, family_folder
from tests.workers.worker_job import quantize_spec
from tui.catalog.build import Recipe
from tui.errors import HeftError
from tui.fit.quantize_plan import make_plan
from tui.jobs.job import JobRequest, Kind
from tui.jobs.job_folder import read_spec, write_spec
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workers.reporter import Reporter

RECIPES = {
    "gptq-4": Recipe(),
    "gptq-8": Recipe(bits=8),
    "gptq-3": Recipe(bits=3),
    "gptq-2": Recipe(bits=2),
    "gptq-4-act": Recipe(desc_act=True),
    "gptq-4-asym": Recipe(sym=False),
    "gptq-4-optimum": Recipe(route="optimum"),
    "awq-4": Recipe(method="awq", sym=False),
    "rtn-4": Recipe(method="rtn"),
}


def one(paths: Paths, source: Path, name: str, recipe: Recipe) -> dict[str, Any]:
    """Make one build, or say why not."""
    from dataclasses import replace

    from tui.workers.quantize import run

    recipe = replace(recipe, samples=24, sample_length=64)
    started = time.monotonic()
    try:
        make_plan(source, recipe, device="cpu", native_bfloat16=False)
    except HeftError as error:
        return {"refused": error.summary}
    with contextlib.closing(Store(paths)) as store:
        job = store.submit(JobRequest(Kind.QUANTIZE, "tiny", quantize_spec(source, recipe, name)))
        claimed = store.claim(job.id, "cpu")
        assert claimed is not None
        write_spec(claimed.folder, read_spec(claimed.folder) | {"attempt": claimed.attempt, "device": "cpu"})
        reporter = Reporter(store, claimed, paths)
        log = io.StringIO()
        try:
            with contextlib.redirect_stdout(log):
                result = run(reporter)
        except HeftError as error:
            return {"failed": error.summary}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}"}
        finally:
            reporter.close()
            os.chdir(paths.data)
            (paths.data / f"{name}.log").write_text(log.getvalue())
    return {**result, "seconds": round(time.monotonic() - started, 1)}


def row(family: str, recipe: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    head = f"{family:<12}{recipe:<15}"
    if "refused" in found or "failed" in found:
        return f"{head}{'refused: ' + found['refused'] if 'refused' in found else 'FAILED: ' + found['failed']}"
    quality = found["quality"]
    loss = quality["perplexity_after"] / quality["perplexity_before"] - 1
    return (
        f"{head}ok  {quality['perplexity_before']:>7.1f} → {quality['perplexity_after']:>7.1f} {loss:>+7.1%}"
        f"  KL {quality['kl_divergence']:.4f}  top-1 {quality['top1_agreement']:>5.1%}  {found['seconds']:>5.1f} s"
        f"  {', '.join(found['kernels'])} by {found['loader']} ({found['route']}, {found['quantized_modules']} layers)"
    )


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table, one line per family: the KL divergence and perplexity that each recipe costs, its seconds, what
    computes it, and why what is refused is."""
    recipes = [name for name in RECIPES if any(found["recipe"] == name for found in rows)]
    families = list(dict.fromkeys(found["family"] for found in rows))
    cells = {(found["family"], found["recipe"]): found for found in rows}
    reasons: list[str] = []
    heads = ["KL, perplexity", *recipes, "seconds", "kernels", "made by", "loaded by"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for family in families:
        made = [found for found in rows if found["family"] == family and "quality" in found]
        words = []
        for recipe in recipes:
            found = cells.get((family, recipe), {})
            if "quality" in found:
                quality = found["quality"]
                loss = quality["perplexity_after"] / quality["perplexity_before"] - 1
                words.append(f"{quality['kl_divergence']:.4f}, {loss:+.2%}")
                continue
            reason = found.get("refused") or found.get("failed") or "not run"
            reason = reason.replace(f"{family} models", "these models")
            reasons += [reason] if reason not in reasons else []
            words.append(f"{'FAILED ' if 'failed' in found else ''}{reasons.index(reason) + 1})")
        routes, loaders = (", ".join(dict.fromkeys(found[key] for found in made)) for key in ("route", "loader"))
        kernels = ", ".join(
            dict.fromkeys(kernel.removeprefix("Torch") for found in made for kernel in found["kernels"])
        )
        took = [found["seconds"] for found in made] or [0]
        cells_of_line = [family, *words, f"{min(took):.0f}-{max(took):.0f}", kernels, routes, loaders]
        lines.append(f"| {' | '.join(cells_of_line)} |")
    return "\n".join([*lines, "", *(f"{number}) {reason}." for number, reason in enumerate(reasons, 1))])


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="*", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--recipe", nargs="*", choices=list(RECIPES), default=["gptq-4", "gptq-8", "awq-4", "rtn-4"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--steps", type=int, default=STEPS, help="how long each model is trained first")
    parser.add_argument("--table", nargs="*", type=Path, metavar="FILE", help="print what --json wrote")
    arguments = parser.parse_args()
    if arguments.table:
        print(table([found for file in arguments.table for found in json.loads(file.read_text())]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["HEFT_HOME"] = str(Path(place) / "heft")
        paths = Paths.from_environment().prepare()
        for family in arguments.family:
            source = family_folder(family, Path(place) / "models" / family, arguments.steps)
            for recipe in arguments.recipe:
                found = one(paths, source, f"{family}-{recipe}", RECIPES[recipe])
                rows.append({"family": family, "recipe": recipe, **found})
                print(row(family, recipe, found), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the libraries leave threads behind
