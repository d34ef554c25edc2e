"""What a download costs: our worker's transfer, huggingface_hub's snapshot_download and curl, in one run.

    python -m tests.benchmarks.download [--mib 512] [--shards 16] [--rounds 3] [--rate BYTES]

Prints wall seconds, CPU seconds per GB and the largest resident size of the client process, the best of the rounds.
The server runs in this process and reads from the page cache; the client is a process of its own, whose imports and
start are counted, with its modules compiled before, as an installed program's are. "curl, then sha256sum" is what a
checked download costs without a client. ``--rate`` throttles each connection, which is when several of them pay.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.local_hub import LocalHub, Synthetic

REPO = "bench/model"

OURS = """
from tui.jobs.job import JobRequest, Kind
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workers import download
from tui.workers.reporter import Reporter
paths = Paths.from_environment().prepare()
store = Store(paths)
job = store.claim(store.submit(JobRequest(Kind.DOWNLOAD, "m", {"repo": "bench/model", "revision": ""})).id, "none")
voice = Reporter(store, job, paths)
download.run(voice)
voice.close()
"""

HUGGINGFACE = """
from huggingface_hub import snapshot_download
snapshot_download("bench/model", max_workers=4)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mib", type=int, default=512)
    options.add_argument("--shards", type=int, default=16)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rate", type=int, default=0)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="heft-bench-"))
    try:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {chosen.mib} MiB each; best of {chosen.rounds}")
        print(f"{'files':8} {'client':20} {'wall s':>8} {'MB/s':>7} {'CPU s/GB':>9} {'RSS MB':>7}")
        for count in (1, chosen.shards):
            compare(folder, count, chosen)
    finally:
        shutil.rmtree(folder)


def compare(folder: Path, count: int, chosen: argparse.Namespace) -> None:
    size = chosen.mib << 20
    source = folder / "source"
    source.mkdir()
    for number in range(count):
        with (source / f"model-{number:05}.safetensors").open("wb") as file:
            for piece in Synthetic(size // count, seed=number).chunks(0, size // count):
                file.write(piece)
    with LocalHub() as hub:
        hub.add_repo(REPO, source)
        if chosen.rate:
            hub.fault("GET /cdn/", "slow", rate=chosen.rate)
        urls = [f"{hub.url}/{REPO}/resolve/main/{path.name}" for path in sorted(source.iterdir())]
        outputs = [word for url in urls for word in ("-o", os.fspath(folder / Path(url).name), url)]
        fetch = ["curl", "-sL", "--parallel", "--parallel-max", "4", *outputs]
        commands = {
            "heft": [sys.executable, "-c", OURS],
            "snapshot_download": [sys.executable, "-c", HUGGINGFACE],
            "curl": fetch,
            "curl, then sha256sum": [
                "sh",
                "-c",
                f"{shlex.join(fetch)} && sha256sum {shlex.quote(str(folder))}/model-*",
            ],
        }
        for client, command in commands.items():
            costs = [measure(command, folder / "home", hub) for _ in range(chosen.rounds)]
            wall, cpu, memory = (min(column) for column in zip(*costs, strict=True))
            print(f"{count:<8} {client:20} {wall:8.2f} {size / wall / 1e6:7.0f} {cpu / size * 1e9:9.2f} {memory:7.0f}")
            for left in folder.glob("model-*"):
                left.unlink()
    shutil.rmtree(source)


def measure(command: list[str], home: Path, hub: LocalHub) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and the resident megabytes of one fresh client."""
    program = (
        "import json, resource, subprocess, sys, time\n"
        "begun = time.perf_counter()\n"
        "subprocess.run(json.loads(sys.argv[1]), check=True, stdout=subprocess.DEVNULL)\n"
        "wall, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))\n"
    )
    environment = {**os.environ, **hub.environment, "HEFT_HOME": os.fspath(home), "HF_HOME": os.fspath(home / "hf")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = os.fspath(home.with_name("compiled"))
    said = subprocess.run(
        [sys.executable, "-c", program, json.dumps(command)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    shutil.rmtree(home, ignore_errors=True)
    wall, cpu, memory = json.loads(said.stdout)
    return wall, cpu, memory


if __name__ == "__main__":
    main()
