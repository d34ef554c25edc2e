"""What a streamed answer costs on screen, as it grows, beside Textual's own Markdown widget on the same text.

Prints CPU milliseconds for ten tokens at 1,000 and at 20,000 tokens, drawing included, for prose, one code block, one
list, a list of lists, one quote, one table and a mixture; then the same for one token at 1,000, 10,000 and 50,000
characters of an answer; then a stream of 500 tokens a second: how late the event loop is, and how many bytes
reach the terminal. Textual's widget is measured at 1,000 tokens and as far as its patience lasts.

Run: python -m tests.benchmarks.ui_stream [tokens] [--stream] [--growth]
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import pty
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from tui.chat.conversation import Message
from tui.ui.lines.chat_lines import user_section
from tui.ui.widgets.transcript_view import TranscriptView

BATCH = 10
FIRST = 1000
PATIENCE = 5.0
"""CPU seconds after which the peer is not asked further."""

PROSE = "Quantizing **squeezes** the weights of a layer to `4 bits` and corrects what that breaks in the others. "


def prose() -> Iterator[str]:
    """Paragraphs."""
    for _ in itertools.count():
        yield from (word + " " for word in (PROSE * 5).split())
        yield "\n\n"


def mixed() -> Iterator[str]:
    """Paragraphs, lists and code in turn."""
    for number in itertools.count():
        yield from (word + " " for word in (PROSE * 3).split())
        yield "\n\n"
        for item in range(4):
            yield from (word + " " for word in f"- point {item} of part {number} says *something*".split())
            yield "\n"
        yield "\n```python\n"
        for row in range(6):
            yield from (f"    value_{row} ", "= ", f"compute({number}, ", "'text') ", "# why\n")
        yield "```\n\n"


def code() -> Iterator[str]:
    """One fence without end."""
    yield "```python\n"
    for number in itertools.count():
        yield from (f"value_{number} ", "= ", "compute(", f"{number}) ", "# why\n")


def points() -> Iterator[str]:
    """One list without end."""
    for number in itertools.count():
        yield "- "
        yield from (word + " " for word in f"point {number} with **some** words in it".split())
        yield "\n"


def sublists() -> Iterator[str]:
    """One point of one list, with lists in it without end."""
    yield "- the one point\n"
    for number in itertools.count():
        yield from ("  ", f"{number + 1}. ")
        yield from (word + " " for word in f"part {number} with **some** words".split())
        yield "\n"
        for inner in range(3):
            yield from ("     ", "- ")
            yield from (word + " " for word in f"point {inner} of *part* {number}".split())
            yield "\n"


def quote() -> Iterator[str]:
    """One quote without end, of paragraphs of four lines and now and then a list."""
    for number in itertools.count():
        for _ in range(4):
            yield "> "
            yield from (word + " " for word in PROSE.split())
            yield "\n"
        yield ">\n"
        if number % 3 == 0:
            yield from ("> ", "- ", "a ", "**point** ", "of ", "it\n", ">\n")


def long_quote() -> Iterator[str]:
    """One quote of a single paragraph."""
    while True:
        yield "> "
        yield from (word + " " for word in PROSE.split())
        yield "\n"


def deep_code() -> Iterator[str]:
    """One block of code without end in a point of a list."""
    yield "- point\n\n  ```python\n"
    for number in itertools.count():
        yield from (f"  value_{number} ", "= ", "compute(", f"{number}) ", "# why\n")


def table() -> Iterator[str]:
    """One table without end."""
    yield "| number | bits | what |\n|---|---|---|\n"
    for number in itertools.count():
        yield from (f"| {number} ", "| 4 ", "| a ", "**cell** ", "with ", "words |\n")


def paragraph() -> Iterator[str]:
    """One paragraph without end."""
    yield from (word + " " for word in itertools.cycle(PROSE.split()))


TEXTS: dict[str, Callable[[], Iterator[str]]] = {
    "prose": prose,
    "code block": code,
    "list": points,
    "sublists": sublists,
    "quote": quote,
    "long quote": long_quote,
    "deep code": deep_code,
    "table": table,
    "mixed": mixed,
    "paragraph": paragraph,
}


class Ours(App[None]):
    """A transcript and nothing else."""

    def compose(self) -> ComposeResult:
        """The view."""
        yield TranscriptView(id="transcript")

    def begin(self) -> Callable[[str], None]:
        """Open an answer; returns what feeds it."""
        view = self.query_one(TranscriptView)
        view.add(user_section(Message("user", "Go on.")))
        section = view.open("assistant")
        return lambda text: view.feed(section, text)


class Peer(App[None]):
    """Textual's Markdown widget, appended to as its own stream does."""

    def compose(self) -> ComposeResult:
        """The widget."""
        with VerticalScroll():
            yield Markdown()

    def append(self, text: str) -> Callable[[], object]:
        """What appends ``text``."""
        return lambda: self.query_one(Markdown).append(text)


async def ours(words: Iterator[str], tokens: int) -> list[float]:
    """CPU milliseconds of each batch of the first ``FIRST`` and the last ``FIRST / 2`` tokens; those between come in
    larger pieces."""
    app, costs = Ours(), []
    async with app.run_test(size=(120, 40)) as pilot:
        feed = app.begin()
        sent = 0
        while sent < tokens:
            watched = sent < FIRST or sent >= tokens - FIRST // 2
            size = BATCH if watched else 20 * BATCH
            text = "".join(itertools.islice(words, size))
            before = time.process_time()
            feed(text)
            await pilot.pause()
            if watched:
                costs.append((time.process_time() - before) * 1000)
            sent += size
    return costs


async def peer(words: Iterator[str], tokens: int) -> list[float]:
    """The same for Textual's widget, until ``PATIENCE`` is over."""
    app, costs = Peer(), []
    async with app.run_test(size=(120, 40)) as pilot:
        widget = app.query_one(Markdown)
        for _ in range(tokens // BATCH):
            text = "".join(itertools.islice(words, BATCH))
            before = time.process_time()
            await widget.append(text)
            await pilot.pause()
            costs.append((time.process_time() - before) * 1000)
            if sum(costs) > PATIENCE * 1000:
                break
    return costs


def around(costs: list[float], end: int) -> float | None:
    """The mean cost of the fifty batches before the ``end``-th, without the dearest and the cheapest tenth."""
    found = sorted(costs[max(0, end - 50) : end])
    return statistics.fmean(found[5:-5]) if len(found) == 50 else None


def shown(value: float | None) -> str:
    """A number in its column."""
    return f"{value:7.2f}" if value is not None else "      –"


def flatness(tokens: int) -> None:
    """The table of costs."""
    print(f"CPU ms per {BATCH} tokens, mean of 500 tokens, drawing included (120x40)")
    print(f"{'':<11}  ours 1k {tokens // 1000:>3}k   ratio  worst   Textual's Markdown 1k    as far as it came")
    for name, words in TEXTS.items():
        costs = asyncio.run(ours(words(), tokens))
        theirs = asyncio.run(peer(words(), min(tokens, 4000)))
        first, last = around(costs, FIRST // BATCH), around(costs, len(costs))
        ratio = last / first if first and last else 0
        came, their_first = len(theirs) * BATCH, shown(around(theirs, FIRST // BATCH))
        print(
            f"{name:<11} {shown(first)} {shown(last)}  {ratio:5.2f}  {max(costs):6.1f}  {their_first}"
            f"       {shown(statistics.median(theirs[-20:]))} at {came:,}"
        )
    print(f"memory at the end {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB, both together")


SIZES = (1_000, 10_000, 50_000)
"""Characters of an answer at which ``growth`` looks."""


async def growing(words: Iterator[str]) -> list[float]:
    """CPU milliseconds of one token, drawing included, mean of the 40 before each of ``SIZES``."""
    app, costs = Ours(), []
    async with app.run_test(size=(120, 40)) as pilot:
        feed, sent = app.begin(), 0
        for size in SIZES:
            while sent < size - 250:
                text = "".join(itertools.islice(words, 40))
                sent += len(text)
                feed(text)
                await pilot.pause()
            before = time.process_time()
            for text in itertools.islice(words, 40):
                sent += len(text)
                feed(text)
                await pilot.pause()
            costs.append((time.process_time() - before) * 1000 / 40)
    return costs


def growth() -> None:
    """The table of costs by the length of an answer."""
    print("CPU ms per token, drawing included (120x40), at " + ", ".join(f"{size:,}" for size in SIZES) + " characters")
    for name, words in TEXTS.items():
        costs = asyncio.run(growing(words()))
        print(f"{name:<11} " + "  ".join(f"{cost:8.2f}" for cost in costs) + f"   ratio {costs[-1] / costs[0]:6.2f}")


class Sink:
    """The terminal's end of a pty: reads and counts."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.bytes = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                self.bytes += len(os.read(self.master, 65536))
            except OSError:
                return


async def stream(
    app: App[None], append: Callable[[str], object], rate: int, seconds: float
) -> tuple[list[float], float]:
    """Feed ``rate`` tokens a second at twenty frames a second; lags of the loop in ms, and CPU seconds."""
    words, lags = mixed(), []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append((time.monotonic() - before - 0.01) * 1000)

    watching = asyncio.create_task(watch())
    began, cpu, sent = time.monotonic(), time.process_time(), 0
    while (now := time.monotonic() - began) < seconds:
        due = int(now * rate) - sent
        if due > 0:
            result = append("".join(itertools.islice(words, due)))
            if result is not None:
                await result  # type: ignore[misc]
            sent += due
        await asyncio.sleep(0.05)
    watching.cancel()
    return lags, time.process_time() - cpu


def sustained(name: str, app: App[None], rate: int, seconds: float) -> None:
    """One line: lag, CPU and bytes of a stream in a real terminal."""
    sink = Sink()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(sink.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
    stdin, stderr, fake = sys.__stdin__, sys.__stderr__, os.fdopen(os.dup(sink.slave), "r")
    sys.__stdin__ = fake  # type: ignore[misc]
    sys.__stderr__ = io.TextIOWrapper(os.fdopen(os.dup(sink.slave), "wb", 0), write_through=True)  # type: ignore[misc]
    found: list[tuple[list[float], float]] = []

    async def play() -> None:
        append = app.begin() if isinstance(app, Ours) else app.query_one(Markdown).append
        found.append(await stream(app, append, rate, seconds))
        app.exit()

    app.call_later(lambda: app.run_worker(play()))
    os.environ |= {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "60"}
    app.run(mouse=False)
    sys.__stdin__, sys.__stderr__ = stdin, stderr  # type: ignore[misc]
    lags, cpu = found[0]
    lags.sort()
    p95 = lags[int(len(lags) * 0.95)]
    print(
        f"{name:<20} loop lag p50 {statistics.median(lags):5.1f}  p95 {p95:6.1f}  max {lags[-1]:6.1f} ms"
        f"   CPU {cpu / seconds:4.0%}   {sink.bytes / seconds / 1000:6.0f} kB/s"
    )


def main() -> None:
    """Both tables."""
    numbers = [word for word in sys.argv[1:] if word.isdigit()]
    tokens = int(numbers[0]) if numbers else 20_000
    if "--growth" in sys.argv:
        growth()
        return
    if "--stream" not in sys.argv:
        flatness(tokens)
    growth()
    seconds = 8.0
    print(f"\n500 tokens a second for {seconds:.0f} s, mixed text, a real terminal of 200x60")
    sustained("ours", Ours(), 500, seconds)
    sustained("Textual's Markdown", Peer(), 500, seconds)


if __name__ == "__main__":
    main()
