"""What the app costs in a terminal, beside a Textual app that shows one line: the peer is the least that can be had.

Run: python -m tests.benchmarks.terminal_figures start | idle | stream | keys | all

start   seconds and CPU seconds to the first frame, in tmux, median of 5 in turn (budget: 1.6 times the peer)
idle    bytes per second, share of a processor and memory while nobody does anything (2 kB/s at 80x24, 1 %, 80 MB)
stream  bytes per second while an answer streams at 100 tokens a second (40 kB/s at 80x24)
keys    milliseconds from a key to what it draws, with 100,000 rows and a download that runs (p95 below 50)
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.hardware_pane import cpu_seconds
from tests.heft import Heft
from tests.local_hub import LocalHub, Synthetic
from tests.terminal import Terminal
from tests.ui.talking_endpoint import TalkingEndpoint

PEER = """
from textual.app import App
from textual.widgets import Static
class Least(App):
    def compose(self):
        yield Static("the first frame")
Least().run(mouse=False)
"""
ROWS = 100_000
MANY_ROWS = f"""
import sys
from tui.catalog.model import Model
from tui.ui import app, start
made = [Model(f"model-{{n}}", f"Model {{n}} of {{n % 977}} words", f"lab/model-{{n}}", params=n * 1000, vendor="lab")
        for n in range({ROWS})]
app.HeftApp.judge_models = lambda self: None  # verdicts of so many rows are measured elsewhere
app.HeftApp.read_catalog = lambda self: self.catalog_pane.show_models(made)
sys.exit(start.run())
"""
WORDS = tuple(f"word{n % 7} {n}" for n in range(30))


def machine(folder: str, **more: str) -> Mapping[str, str]:
    """The environment of a fresh home without a network. What pip installs is compiled; so is what runs here."""
    environment = {**Heft(Path(folder) / "home").environment, "COLORTERM": "truecolor", **more}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def in_tmux(words: str, marker: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and CPU seconds until ``marker`` stands in a tmux window of 120x36 that runs ``words``."""
    tmux = ["tmux", "-L", f"heft-bench-{os.getpid()}-{time.monotonic_ns()}", "-f", "/dev/null"]
    keep = ["new-session", "-d", "-x", "120", "-y", "36", "-s", "keep", "sleep 60"]
    subprocess.run([*tmux, *keep], env=environment, check=True)
    try:
        started = time.monotonic()
        done = subprocess.run(
            [*tmux, "new-session", "-d", "-P", "-F", "#{pane_pid}", "-x", "120", "-y", "36", "-s", "app", words],
            env=dict(environment), capture_output=True, text=True, check=True,
        )  # fmt: skip
        while time.monotonic() - started < 60:
            look = [*tmux, "capture-pane", "-p", "-t", "app"]
            shown = subprocess.run(look, capture_output=True, text=True, check=False)
            if marker in shown.stdout:
                return time.monotonic() - started, cpu_seconds(int(done.stdout))
            time.sleep(0.005)
        raise TimeoutError(f"no {marker!r}:\n{shown.stdout}")
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)


def start() -> None:
    """The first frame: what stands there before any data, and the first list of models."""
    if not shutil.which("tmux"):
        print("start: no tmux here")
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = machine(folder)
        peer_file = Path(folder) / "peer.py"
        peer_file.write_text(PEER)
        programs = {
            "peer": (f"exec {sys.executable} {peer_file}", "the first frame"),
            "heft": (f"exec {sys.executable} -m tui", "1 Catalog"),
            "heft, with its models": (f"exec {sys.executable} -m tui", "Gemma"),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for words, marker in programs.values():
            in_tmux(words, marker, environment)  # caches of the disk
        for _ in range(5):
            for name, (words, marker) in programs.items():
                found[name].append(in_tmux(words, marker, environment))
        middle = {name: [statistics.median(one) for one in zip(*rows, strict=True)] for name, rows in found.items()}
        for name, (wall, cpu) in middle.items():
            times, cpu_times = wall / middle["peer"][0], cpu / middle["peer"][1]
            print(f"start: {name:<22} {wall:.2f} s ({times:.2f} x), {cpu:.2f} CPU s ({cpu_times:.2f} x)", flush=True)


def watched(terminal: Terminal, seconds: float) -> tuple[float, float, float]:
    """Bytes per second, share of a processor, and megabytes while nothing is done for ``seconds``."""
    before, spent, at = terminal.received, cpu_seconds(terminal.pid), time.monotonic()
    time.sleep(seconds)
    length = time.monotonic() - at
    status = Path(f"/proc/{terminal.pid}/status").read_text(encoding="ascii")
    memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000
    return (terminal.received - before) / length, (cpu_seconds(terminal.pid) - spent) / length, memory


def idle(seconds: float = 20.0) -> None:
    """Nobody does anything."""
    with tempfile.TemporaryDirectory() as folder:
        cases: list[tuple[str, tuple[int, int], str, str]] = [
            ("peer 80x24", (80, 24), PEER, "the first frame"),
            ("80x24 catalog", (80, 24), "", "Gemma"),
            ("80x24 hardware", (80, 24), "", "Gemma"),
            ("200x60", (200, 60), "", "Gemma"),
        ]
        for name, (columns, rows), code, marker in cases:
            terminal = Terminal(machine(folder), columns=columns, rows=rows, code=code)
            try:
                terminal.wait_for(marker, seconds=60)
                if "hardware" in name:
                    terminal.press("2")
                time.sleep(4)
                rate, share, memory = watched(terminal, seconds)
                print(f"idle: {name:<16} {rate:7,.0f} B/s, {share:.2%} of one CPU, {memory:.0f} MB", flush=True)
            finally:
                terminal.close()


def stream(seconds: float = 15.0) -> None:
    """An answer of 100 tokens a second."""
    for name, size, more in (
        ("80x24", (80, 24), {}),
        ("80x24 over ssh", (80, 24), {"SSH_CONNECTION": "1 2 3 4"}),
        ("200x60", (200, 60), {}),
        ("200x60 over ssh", (200, 60), {"SSH_CONNECTION": "1 2 3 4"}),
    ):
        pieces = [WORDS[n % len(WORDS)] + " " + ("\n\n" if n % 60 == 59 else "") for n in range(int(seconds * 140))]
        talker = TalkingEndpoint(pieces, pause=0.01)
        with tempfile.TemporaryDirectory() as folder:
            environment = machine(folder, **more)
            config = Path(environment["HEFT_HOME"]) / "config" / "config.toml"
            config.parent.mkdir(parents=True)
            config.write_text(f'[endpoints.talker]\nbase_url = "{talker.url}"\nmodel = "talker"\n')
            terminal = Terminal(environment, columns=size[0], rows=size[1])
            try:
                terminal.wait_for("Gemma", seconds=60)
                terminal.press("4", "e")
                terminal.wait_for("talker")
                terminal.press("enter")
                terminal.wait_for("Ask something")
                terminal.press("go", "enter")
                terminal.wait_for("word3")
                time.sleep(2)
                rate, share, _ = watched(terminal, seconds)
                print(f"stream: {name:<16} {rate / 1000:6.1f} kB/s, {share:.1%} of one CPU", flush=True)
            finally:
                terminal.close()
                talker.close()


def paint_times(terminal: Terminal, count: int, act: Callable[[int], Callable[[str], bool]]) -> list[float]:
    """Milliseconds from a key to the screen that ``act``'s answer accepts, ``count`` times."""
    found = []
    for number in range(count):
        accepts = act(number)
        at = time.monotonic()
        while not accepts(terminal.text):
            if time.monotonic() - at > 5:
                raise TimeoutError(terminal.text)
            time.sleep(0.0005)
        found.append((time.monotonic() - at) * 1000)
        time.sleep(0.05)
    return found


def keys() -> None:
    """Cursor and filter in 100,000 rows while a download runs and the queue draws its progress."""
    with tempfile.TemporaryDirectory() as folder, LocalHub() as hub:
        files = {"config.json": b'{"model_type": "llama"}', "model.safetensors": Synthetic(600_000_000)}
        hub.add_repo("lab/slow", files)
        hub.fault("GET /cdn/", "slow", rate=3_000_000)
        heft = Heft(Path(folder) / "home", **hub.environment)
        heft.json("pull", "lab/slow", "--detach")
        terminal = Terminal(heft.environment, code=MANY_ROWS)
        try:
            terminal.wait_for("100,000 models", "MB/s", seconds=90)

            def down(number: int) -> Callable[[str], bool]:
                os.write(terminal._master, b"j")
                return lambda text: f"▌Model {number + 1} of" in text

            def letter(number: int) -> Callable[[str], bool]:
                typed = "model 9 words"[: number + 1]
                os.write(terminal._master, typed[-1].encode())
                return lambda text: f"│ {typed} " in text and " of 100,000" in text

            cursor = paint_times(terminal, 60, down)
            terminal.press("1", "/")
            filtering = paint_times(terminal, 13, letter)
            for name, times in (("cursor", cursor), ("filter", filtering)):
                times.sort()
                p95 = times[min(len(times) - 1, round(0.95 * len(times)) - 1)]
                print(
                    f"keys: {name:<7} p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms, worst {times[-1]:.0f} ms"
                )
        finally:
            terminal.close()
            heft.end_everything()


def main() -> None:
    """Measure what was asked for."""
    parts = {"start": start, "idle": idle, "stream": stream, "keys": keys}
    wanted = sys.argv[1:] or ["all"]
    for name, part in parts.items():
        if name in wanted or "all" in wanted:
            part()


if __name__ == "__main__":
    main()
