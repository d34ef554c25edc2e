"""The fault matrix: what each fault does to a download by Heft and by huggingface_hub's snapshot_download.

    python -m tests.benchmarks.download_faults [--mb 80] [--calls 3] [--only WORD]

Both fetch the same repository from the local hub, each in a process of its own with an empty cache. A call that fails
is repeated, as a person would, up to ``--calls`` times. The columns: what happened, how many calls it took, and how
many megabytes came more than once (bytes that the server sent beyond the size of the file). Every file that a client
calls whole is compared with what the hub holds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local_hub import LocalHub, Synthetic, safetensors

REPO = "org/model"
DATA = "GET /cdn/"
PATIENCE_SECONDS = 25.0
"""A call that takes longer counts as hung and is killed."""

HEFT = """
import signal, sys
from tui.errors import HeftError
from tui.jobs.job import JobRequest, Kind
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workers import download
from tui.workers.reporter import Reporter, Stopped
from tui.workers.transfer_pace import Patience
download.ROOM_LEFT = 0
download.PATIENCE = Patience(first_wait=0.5, longest_wait=2.0, start=10.0, silence=10.0)
paths = Paths.from_environment().prepare()
paths.settings_file.write_text("[downloads]\\ntimeout = 2\\n")
store = Store(paths)
job = store.claim(store.submit(JobRequest(Kind.DOWNLOAD, "m", {"repo": "org/model", "revision": ""})).id, "none")
voice = Reporter(store, job, paths)
signal.signal(signal.SIGINT, lambda *_: voice.stop.set())
try:
    print(download.run(voice)["path"])
except (HeftError, OSError, Stopped) as error:
    sys.exit(str(error) or type(error).__name__)
"""

STOCK = """
import sys
from huggingface_hub import snapshot_download
try:
    print(snapshot_download("org/model"))
except (Exception, KeyboardInterrupt) as error:
    sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
"""

CLIENTS = {"heft": HEFT, "snapshot_download": STOCK}


@dataclass(frozen=True)
class Case:
    """One row: faults on the storage (``kind`` and details), ``kill`` (by ``number``) after a share of the file has
    been sent; ``zeroed``: a block of what was written is zero afterwards."""

    name: str
    faults: tuple[dict[str, Any], ...] = ()
    kill: float = 0.0
    new_revision: bool = False
    number: signal.Signals = signal.SIGKILL
    zeroed: bool = False


@dataclass
class Result:
    """What came of it."""

    what: str = ""
    calls: int = 0
    sent: int = 0
    size: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def twice(self) -> float:
        """Megabytes that came more than once."""
        return max(0, self.sent - self.size) / 1e6


def cases(size: int) -> list[Case]:
    """The rows of the table; positions are shares of the file."""
    part, half, late = size // 5, size // 2, size * 9 // 10
    return [
        Case("nothing goes wrong"),
        Case("closed (FIN) at 50 %", ({"kind": "drop", "after": half, "times": 1},)),
        Case("closed at each 20 %", ({"kind": "drop", "after": part},)),
        Case("reset (RST) at 50 %", ({"kind": "rst", "after": half, "times": 1},)),
        Case("reset at 90 %, six times", ({"kind": "rst", "after": late, "times": 6},)),
        Case("refused, three times", ({"kind": "refuse", "times": 3},)),
        Case("silent at 50 %", ({"kind": "stall", "after": half, "times": 1},)),
        Case("silent from the start", ({"kind": "hang", "times": 1},)),
        Case("408, twice", ({"kind": "status", "code": 408, "times": 2},)),
        Case("429, Retry-After 1 s", ({"kind": "status", "code": 429, "retry_after": "1", "times": 1},)),
        Case("500, twice", ({"kind": "status", "code": 500, "times": 2},)),
        Case(
            "50 %, then 503 twice",
            ({"kind": "drop", "after": half, "times": 1}, {"kind": "status", "code": 503, "times": 2}),
        ),
        Case("expired link (403)", ({"kind": "status", "code": 403, "times": 1},)),
        Case("Content-Length too short", ({"kind": "content_length", "delta": -1000, "times": 1},)),
        Case("Content-Length too long", ({"kind": "content_length", "delta": 1000, "times": 1},)),
        Case("one flipped byte", ({"kind": "corrupt", "at": half, "times": 1},)),
        Case("a flipped byte, always", ({"kind": "corrupt", "at": half},)),
        Case("a login page for the file", ({"kind": "junk", "times": 1},)),
        Case("ranges ignored, closed at 50 %", ({"kind": "norange", "after": half, "times": 1}, {"kind": "norange"})),
        Case("kill -9 at 50 %", ({"kind": "slow", "rate": size // 4},), kill=0.5),
        Case("cancelled at 50 %", ({"kind": "slow", "rate": size // 4},), kill=0.5, number=signal.SIGINT),
        Case("power cut: a block is zero", ({"kind": "slow", "rate": size // 4},), kill=0.5, zeroed=True),
        Case("one connection crawls", ({"kind": "slow", "rate": 20_000, "times": 1},)),
        Case("kill -9, then a new revision", ({"kind": "slow", "rate": size // 4},), 0.5, True),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--mb", type=int, default=80)
    options.add_argument("--calls", type=int, default=3)
    options.add_argument("--only", default="")
    chosen = options.parse_args()
    size = chosen.mb * 1_000_000
    begun = time.monotonic()
    print(f"one file of {chosen.mb} MB; up to {chosen.calls} calls; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'fault':32} {'client':18} {'what happened':34} {'calls':>5} {'MB twice':>9} {'s':>6}")
    sums = {client: [0, 0, 0.0] for client in CLIENTS}
    rows = [case for case in cases(size) if chosen.only in case.name]
    for case in rows:
        for client, program in CLIENTS.items():
            result = endure(case, program, size, chosen.calls)
            print(
                f"{case.name:32} {client:18} {result.what:34} {result.calls:5} {result.twice:9.2f}"
                f" {result.seconds:6.1f}",
                flush=True,
            )
            total = sums[client]
            total[0] += result.what == "right" and result.calls == 1
            total[1] += result.what.startswith("WRONG")
            total[2] += result.twice
    print()
    for client, (first, wrong, twice) in sums.items():
        print(f"{client:18} right at the first call {first} of {len(rows)}, wrong bytes {wrong}, {twice:.1f} MB twice")
    print(f"{time.monotonic() - begun:.0f} s")


def endure(case: Case, program: str, size: int, calls: int) -> Result:
    """One client through one case."""
    home = Path(tempfile.mkdtemp(prefix="heft-faults-"))
    weights = safetensors(size, seed=3)
    result, begun = Result(size=size), time.monotonic()
    try:
        with LocalHub() as hub:
            hub.add_repo(REPO, {"config.json": b'{"model_type": "llama"}', "model.safetensors": weights})
            for fault in case.faults:
                details = dict(fault)
                hub.fault(DATA, details.pop("kind"), **details)
            for _ in range(calls):
                result.calls += 1
                if _call(case, program, home, hub, result, first=result.calls == 1):
                    break
                if case.new_revision and result.calls == 1:
                    hub.add_repo(REPO, {"config.json": b'{"model_type": "qwen3"}', "model.safetensors": weights})
            result.sent = hub.bytes_sent(DATA)
            result.what = _verdict(result, home, weights, size)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    result.seconds = time.monotonic() - begun
    return result


def _call(case: Case, program: str, home: Path, hub: LocalHub, result: Result, *, first: bool) -> bool:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HEFT_"))}
    environment |= {**hub.environment, "HEFT_HOME": os.fspath(home), "HF_HOME": os.fspath(home / "huggingface")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"HF_HUB_DOWNLOAD_TIMEOUT": "2", "HF_HUB_ETAG_TIMEOUT": "2"}
    command = [sys.executable, "-c", program]
    client = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if case.kill and first:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while hub.bytes_sent(DATA) < case.kill * result.size and time.monotonic() < deadline:
            time.sleep(0.01)
        client.send_signal(case.number)
    try:
        _, said = client.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        result.errors.append(f"hung for {PATIENCE_SECONDS:.0f} s")
        return False
    if case.zeroed and first:
        for half in home.glob("huggingface/hub/*/blobs/*.incomplete"):
            with half.open("r+b") as file:
                file.seek(1 << 20)
                file.write(bytes(4096))
    if client.returncode:
        last = said.strip().splitlines()
        result.errors.append(last[-1] if last else f"ended with {client.returncode}")
    return client.returncode == 0


def _verdict(result: Result, home: Path, weights: Synthetic, size: int) -> str:
    expected = hashlib.sha256()
    for piece in weights.chunks(0, size):
        expected.update(piece)
    for whole in home.glob("huggingface/hub/*/snapshots/*/model.safetensors"):
        with contextlib.suppress(OSError):
            if hashlib.sha256(whole.read_bytes()).hexdigest() != expected.hexdigest():
                return "WRONG BYTES ACCEPTED"
    if len(result.errors) < result.calls:
        return "right"
    if "checksum" in result.errors[-1]:
        return "refused: wrong checksum"
    return f"failed: {result.errors[-1]}"[:34]


if __name__ == "__main__":
    main()
