"""How true the clock of a trial is, and what it costs: ``python tests/benchmarks/trial_clock.py``.

A server waits, then sends tokens at a steady pace. Heft's ``ask`` and the ``openai`` library read the same streams in
the same run; printed are the first token, total and rate that each one saw, and the CPU of one answer. Needs ``pip
install openai`` for the peer.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.chat.scripted_server import HEAD, Seen, Step, chunk, scripted
from tests.compare.panels import usage
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.compare.asking import ask

WAIT, PACE, TOKENS, ANSWERS = 0.2, 0.005, 200, 10


def script(seen: Seen) -> list[Step]:
    """Wait, then so many tokens at a steady pace."""
    steps: list[Step] = [HEAD, WAIT]
    for number in range(TOKENS):
        steps += [chunk(f"word{number} "), PACE]
    return [*steps, chunk(finish_reason="stop") + usage(7, TOKENS) + b"data: [DONE]\n\n"]


def with_heft(address: str) -> Callable[[], tuple[float, float, float]]:
    """First token, total and rate as a trial keeps them."""
    endpoint = Endpoint("e", address, model="m")

    def measure() -> tuple[float, float, float]:
        found = ask(endpoint, [Message("user", "go")], Parameters(), stop=threading.Event(), timeout=30)
        return found.time_to_first_token or 0.0, found.seconds, found.decode_rate or 0.0

    return measure


def with_openai(address: str) -> Callable[[], tuple[float, float, float]]:
    """The same by the openai library, timed as its users do."""
    from openai import OpenAI

    client = OpenAI(base_url=address, api_key="none")

    def measure() -> tuple[float, float, float]:
        started = time.monotonic()
        first = last = 0.0
        stream = client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "go"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        tokens = 0
        for piece in stream:
            if piece.usage:
                tokens = piece.usage.completion_tokens
            if piece.choices and piece.choices[0].delta.content:
                last = time.monotonic() - started
                first = first or last
        return first, last, (tokens - 1) / (last - first)

    return measure


def main() -> int:
    """Print one line for each reader."""
    print(f"{ANSWERS} answers of {TOKENS} tokens, first after {WAIT} s, then one each {PACE * 1000:g} ms")
    with scripted(script) as server:
        readers = {"heft": with_heft(server.address)}
        try:
            before = time.process_time()
            readers["openai"] = with_openai(server.address)
            print(f"importing openai: {time.process_time() - before:.2f} s of CPU")
        except ImportError:
            print("openai is not installed: no peer", file=sys.stderr)
        for name, measure in readers.items():
            measure()
            before = time.process_time()
            found = [measure() for _ in range(ANSWERS)]
            cpu = (time.process_time() - before) / ANSWERS
            first, total, rate = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"{name:<8} first {first:.4f} s  total {total:.3f} s  {rate:6.1f} tokens/s  {cpu * 1000:.1f} ms CPU")
    print("the CPU of the server is in both")
    return 0


if __name__ == "__main__":
    sys.exit(main())
