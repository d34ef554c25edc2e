"""What quantizing costs and what it gives: ``python tests/benchmarks/quantize.py [--table] [--threads N]``.

Two questions, answered in one run on the same machine and the same copy of the starter:

1. What does a Heft job cost over a bare GPTQModel script with the same calibration rows, which does not check?
   Each is a process of its own, started in turn; the best of the rounds is reported, and the share of the job that is
   spent on the check in a fresh process.
2. With ``--table``: bits and group sizes against perplexity before and after, bytes and seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.workers.worker_job import quantize_job  # noqa: E402
from tui.catalog.build import Recipe  # noqa: E402
from tui.catalog.provenance import read_provenance  # noqa: E402
from tui.paths import Paths  # noqa: E402
from tui.quantities import bytes_text  # noqa: E402
from tui.starter import MODEL_ID, starter_folder  # noqa: E402

BARE = """
import json, sys
from gptqmodel import GPTQModel, QuantizeConfig
from transformers import AutoTokenizer
import torch
from tui.workers.calibration import calibration
recipe = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
asked = {key: recipe[key] for key in ("samples", "sample_length", "seed")}
made = calibration(tokenizer, file="", context=1024, **asked)
rows = [{"input_ids": list(row), "attention_mask": [1] * len(row)} for row in made.rows]
config = QuantizeConfig(bits=recipe["bits"], group_size=recipe["group_size"])
model = GPTQModel.load(sys.argv[2], config, dtype=torch.float32)
model.quantize(rows, batch_size=1, calibration_sort=None)
model.save(sys.argv[3])
"""
TABLE = [(bits, group) for bits in (2, 3, 4, 8) for group in (32, 64, 128, -1) if (bits, group) != (4, -1)]


def environment(home: Path, threads: int) -> dict[str, str]:
    """What a worker runs in, for both sides."""
    return {
        **os.environ,
        "HEFT_HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(threads),
        "TORCHDYNAMO_DISABLE": "1",
        "GPTQMODEL_CPU_WORKERS": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }


def cpu_of_children() -> float:
    """CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bare(source: Path, recipe: Recipe, home: Path, threads: int) -> tuple[float, float]:
    """Seconds and CPU seconds of a bare script, from start to exit."""
    out = home / "bare"
    shutil.rmtree(out, ignore_errors=True)
    started, used = time.monotonic(), cpu_of_children()
    done = subprocess.run(
        [sys.executable, "-c", BARE, json.dumps(asdict(recipe)), source, out],
        env=environment(home, threads),
        cwd=home,  # GPTQModel writes a folder "logs" into wherever it runs
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return seconds, cpu_of_children() - used


def heft(paths: Paths, source: Path, recipe: Recipe, name: str, threads: int) -> tuple[float, dict[str, Any]]:
    """Seconds of a Heft job from the start of its worker, and what it says about its build."""
    job = quantize_job(paths, source, recipe, name=name, model=MODEL_ID)
    started = time.monotonic()
    code = job.start(OMP_NUM_THREADS=str(threads)).wait()
    seconds = time.monotonic() - started
    result, log = job.job.result, job.log
    job.close()
    if code or not result:
        raise SystemExit(log[-3000:])
    return seconds, {**read_provenance(Path(result["path"])), "bytes": result["bytes"]}


def cost(paths: Paths, source: Path, home: Path, rounds: int, threads: int) -> None:
    """Print what a job costs over a bare script."""
    recipe = Recipe(samples=64, sample_length=512)
    bare(
        source, recipe, home, threads
    )  # compiles GPTQModel's packer once, which the bare script uses and a job does not
    plain, ours, plain_cpu, ours_cpu, facts = [], [], [], [], {}
    for number in range(rounds):
        seconds, used = bare(source, recipe, home, threads)
        plain.append(seconds)
        plain_cpu.append(used)
        seconds, facts = heft(paths, source, recipe, f"round-{number}", threads)
        ours.append(seconds)
        ours_cpu.append(facts["cpu_seconds"])
    phases = facts["phases"]
    samples = f"{recipe.samples} samples of {recipe.sample_length}"
    print(f"starter, {recipe.label}, {samples}, {threads} thread(s), best of {rounds}")
    print(f"bare GPTQModel script   {min(plain):6.1f} s   (all: {', '.join(f'{s:.1f}' for s in plain)})")
    print(f"Heft job                {min(ours):6.1f} s   (all: {', '.join(f'{s:.1f}' for s in ours)})")
    print(f"  of which the check in a fresh process {phases['verifying']:.1f} s; layers {phases['layers']:.1f} s")
    print(f"  peak memory {bytes_text(facts['peak_memory'])}")
    best, own = min(plain_cpu), min(used["job"] for used in ours_cpu)
    print(f"CPU seconds: bare {best:.1f}; Heft {own:.1f} for the same work ({own / best - 1:+.1%}), and the check")
    print(f"  in a fresh process, which the script does not do, {min(used['check'] for used in ours_cpu):.1f}")


def table(paths: Paths, source: Path, threads: int) -> None:
    """Print bits and group sizes against perplexity and size."""
    print(f"{'recipe':<16}{'before':>9}{'after':>9}{'change':>9}{'size':>10}{'seconds':>9}")
    for bits, group in TABLE:
        recipe = Recipe(bits=bits, group_size=group, samples=64, sample_length=256)
        seconds, facts = heft(paths, source, recipe, recipe.label, threads)
        before, after = (facts["quality"][f"perplexity_{when}"] for when in ("before", "after"))
        change = f"{after / before - 1:+.2%}"
        print(
            f"{recipe.label:<16}{before:>9.4f}{after:>9.4f}{change:>9}{bytes_text(facts['bytes']):>10}{seconds:>9.1f}"
        )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        source = Path(shutil.copytree(starter_folder(), home / "starter"))
        paths = Paths.from_environment({"HEFT_HOME": str(home / "heft")}).prepare()
        cost(paths, source, home, arguments.rounds, arguments.threads)
        if arguments.table:
            table(paths, source, arguments.threads)


if __name__ == "__main__":
    main()
