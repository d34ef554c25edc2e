"""Kill a quantize job at every third layer, let it go on each time, and compare with one that was never killed.

    python tests/benchmarks/kill_and_resume.py [--every 3] [--bits 4]

Prints where each attempt began and ended, and the hash of the weights both ways.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.workers.worker_job import SMALL, WorkerJob, quantize_job  # noqa: E402
from tui.paths import Paths  # noqa: E402
from tui.starter import MODEL_ID, starter_folder  # noqa: E402


def weights_hash(job: WorkerJob) -> str:
    """sha256 of the build's weights."""
    return hashlib.sha256((Path(job.job.result["path"]) / "model.safetensors").read_bytes()).hexdigest()


def killed_at(job: WorkerJob, layers: list[int]) -> list[str]:
    """Run the job, killing its process group when each of ``layers`` has been finished; returns what happened."""
    told = []
    for layer in [*layers, None]:
        seen = len(job.log)
        process = job.start()
        while layer is not None and process.poll() is None and job.job.progress.done < layer:
            time.sleep(0.02)
        if layer is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        began = re.search(r"quantizing layers (\d+) to", job.log[seen:])
        told.append(
            f"began at layer {began[1] if began else '?'}, " + (f"killed after {layer}" if layer else "finished")
        )
        if layer is not None:
            job.again()
    return told


def main() -> None:
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--bits", type=int, default=4)
    arguments = parser.parse_args()
    from dataclasses import replace

    recipe = replace(SMALL, bits=arguments.bits)
    with tempfile.TemporaryDirectory() as place:
        source = Path(shutil.copytree(starter_folder(), Path(place) / "starter"))
        hashes = []
        for name, kills in (("whole", []), ("killed", list(range(arguments.every, 6, arguments.every)))):
            paths = Paths.from_environment({"HEFT_HOME": str(Path(place) / name)}).prepare()
            job = quantize_job(paths, source, recipe, name=name, model=MODEL_ID)
            for line in killed_at(job, kills):
                print(f"{name:<8}{line}")
            hashes.append(weights_hash(job))
            print(f"{name:<8}{hashes[-1]}")
            job.close()
    print("identical" if len(set(hashes)) == 1 else "DIFFERENT")


if __name__ == "__main__":
    main()
