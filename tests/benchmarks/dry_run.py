"""What a dry run of one layer predicts, beside what the whole job then takes.

    python tests/benchmarks/dry_run.py [--samples 32] [--length 256] [--models starter wide]

On the starter, and as "wide" on a Llama of random weights with 6 layers of 1,024 inputs. The last columns are
the memory that the preflight counts with, the one that the dry run saw and the one that the job reached.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.workers.worker_job import WorkerJob, quantize_spec  # noqa: E402
from tui.catalog.build import Build, Recipe  # noqa: E402
from tui.fit.config_facts import folder_model  # noqa: E402
from tui.fit.quantize_estimate import quantize_estimate  # noqa: E402
from tui.jobs.job import Kind  # noqa: E402
from tui.paths import Paths  # noqa: E402
from tui.quantities import bytes_text  # noqa: E402
from tui.starter import MODEL_ID, starter_folder  # noqa: E402


def wide_model(folder: Path) -> Path:
    """A Llama of random weights with the starter's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=2048, hidden_size=1024, intermediate_size=2816, num_hidden_layers=6, num_attention_heads=16,
        num_key_value_heads=4, max_position_embeddings=1024, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(starter_folder() / name, folder / name)
    return folder


def took(paths: Paths, source: Path, recipe: Recipe, name: str, **more: Any) -> tuple[float, dict[str, Any]]:
    """Seconds from the start of the worker to its end, and the job's result."""
    job = WorkerJob(paths, Kind.QUANTIZE, MODEL_ID, quantize_spec(source, recipe, name) | more)
    started = time.monotonic()
    code = job.start().wait()
    seconds = time.monotonic() - started
    result, log = job.job.result, job.log
    job.close()
    if code or not result:
        raise SystemExit(log[-3000:])
    return seconds, result


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--models", nargs="+", choices=["starter", "wide"], default=["starter"])
    arguments = parser.parse_args()
    recipe = Recipe(samples=arguments.samples, sample_length=arguments.length)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        makers = {
            "starter": lambda: Path(shutil.copytree(starter_folder(), home / "starter")),
            "wide": lambda: wide_model(home / "wide"),
        }
        sources = [makers[name]() for name in arguments.models]
        paths = Paths.from_environment({"HEFT_HOME": str(home / "heft")}).prepare()
        for source in sources:
            _, dry = took(paths, source, recipe, f"{source.name}-dry", dry_run=True)
            seconds, made = took(paths, source, recipe, f"{source.name}-made")
            facts = json.loads((Path(made["path"]) / "heft.json").read_text())
            for phase, took_seconds in facts["phases"].items():
                print(f"  {phase:<12} {dry['phases'].get(phase, 0.0):6.1f} s predicted, {took_seconds:6.1f} s taken")
            cpu = sum(facts["cpu_seconds"].values())
            counted = quantize_estimate(folder_model(source), recipe, Build("", source, "", "", 0))
            print(
                f"{source.name:<8} predicted {dry['predicted_seconds']:6.1f} s  took {made['seconds']:6.1f} s "
                f"({dry['predicted_seconds'] / made['seconds'] - 1:+.0%}; {seconds:.1f} s with the interpreter)  "
                f"CPU: predicted {dry['predicted_cpu_seconds']:6.1f} s  took {cpu:6.1f} s "
                f"({dry['predicted_cpu_seconds'] / cpu - 1:+.0%})  "
                f"memory: counted {bytes_text(counted.ram or 0)}, seen {bytes_text(dry['predicted_memory'])}, "
                f"reached {bytes_text(made['peak_memory'])}  "
                f"build: counted {bytes_text(counted.disk or 0)}, made {bytes_text(made['bytes'])}",
                flush=True,
            )


if __name__ == "__main__":
    main()
