"""Orders, trials and attempts as tests need them, and scripted endpoints that count what they bill."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.chat.scripted_server import HEAD, Seen, Step, chunk, scripted
from tui.chat.conversation import Parameters
from tui.compare.trial import Contestant, Order, Prompt


def endpoint(name: str, base_url: str = "http://127.0.0.1:9/v1", **more: Any) -> Contestant:
    return Contestant(name=name, ref=name, kind="endpoint", model="m", base_url=base_url, **more)


def build(name: str, model: str = "tiny", precision: str = "float16", bits: int = 0) -> Contestant:
    recipe = {"method": "gptq", "bits": bits} if bits else None
    return Contestant(name, name, "build", model=model, build=name, path="/nowhere", precision=precision, recipe=recipe)


def order(*contestants: Contestant, prompts: int = 1, **more: Any) -> Order:
    more.setdefault("parameters", Parameters(temperature=0.0, max_tokens=64, seed=0))
    asked = more.pop("asked", tuple(Prompt((f"question {number}",)) for number in range(prompts)))
    return Order(contestants, asked, **more)


def usage(prompt: int, completion: int, thinking: int = 0) -> bytes:
    table: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if thinking:
        table["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return b"data: " + json.dumps({"choices": [], "usage": table}).encode() + b"\n\n"


def refusal(status: int, message: str, *headers: str) -> bytes:
    body = json.dumps({"error": {"message": message}}).encode()
    head = [f"HTTP/1.1 {status} No", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def said(words: list[str], prompt: int, pause: float = 0.0, thinking: int = 0) -> list[Step]:
    steps: list[Step] = [HEAD]
    for word in words:
        steps += [chunk(word), pause] if pause else [chunk(word)]
    end = chunk(finish_reason="stop") + usage(prompt, len(words), thinking) + b"data: [DONE]\n\n"
    return [*steps, end]


@dataclass
class Billing:
    """A server's own books: how often each question was answered whole, and the tokens it billed."""

    url: str = ""
    answered: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def bill(self, question: str, prompt: int, completion: int) -> None:
        with self.lock:
            self.answered[question] += 1
            self.prompt_tokens += prompt
            self.completion_tokens += completion


def _question(seen: Seen) -> str:
    return str(seen.body["messages"][-1]["content"])


@contextmanager
def talker(words: int = 9, prompt: int = 13, pause: float = 0.0, limited: bool = False) -> Iterator[Billing]:
    """Answers every question in ``words`` pieces. ``limited`` refuses every other request for a moment."""
    books = Billing()

    def script(seen: Seen) -> list[Step]:
        question = _question(seen)
        books.asked[question] += 1
        books.bodies.append(seen.body)
        if limited and sum(books.asked.values()) % 2:
            return [refusal(429, "slow down", "Retry-After: 0.1")]
        pieces = [f"w{number} " for number in range(words - 1)] + [question]
        steps = said(pieces, prompt, pause, thinking=2 if limited else 0)
        books.bill(question, prompt, words)  # what a provider counts is what it was about to send
        return steps

    with scripted(script) as server:
        books.url = server.address
        yield books


@contextmanager
def dying(deaths: int = 1_000) -> Iterator[Billing]:
    """Dies in the middle of its first ``deaths`` answers."""
    books = Billing()

    def script(seen: Seen) -> list[Step]:
        question = _question(seen)
        books.asked[question] += 1
        if sum(books.asked.values()) <= deaths:
            return [HEAD, chunk("I was "), chunk("about to"), 0.05, "die"]
        books.bill(question, 5, 2)
        return said(["here ", "again"], 5)

    with scripted(script) as server:
        books.url = server.address
        yield books
