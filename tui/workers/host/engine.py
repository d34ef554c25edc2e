"""What the host needs of an engine: a loaded model that reads a prompt and writes text, one token after another.

Queue, protocol, stop strings and thinking are the host's own and the same for every engine; an engine alone knows
tokens, templates and weights. Everything but ``ids`` is called on the host's main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tui.workers.host.request import Request
from tui.workers.host.text_stream import Chance


@dataclass(frozen=True, slots=True)
class Written:
    """What ``tokens`` tokens (0 or 1) added to the answer: whole characters. ``reason`` is set on the last one:
    "stop" where the model ended its turn, "length" where the limit or the context did."""

    text: str = ""
    tokens: int = 1
    reason: str = ""
    chances: tuple[Chance, ...] = ()


class Engine(Protocol):
    """One loaded model. ``context`` counts tokens; ``seconds`` tells where the loading time went."""

    name: str
    device: str
    dtype: str
    context: int
    notes: list[str]
    seconds: dict[str, float]
    has_template: bool
    may_think: bool
    """Whether answers of this model may begin with marked thinking."""
    tells_chances: bool
    """Whether tokens come with their chances where a request asks for them."""

    @property
    def cached_tokens(self) -> int:
        """How many tokens the cache holds now."""

    def ids(self, request: Request) -> list[int]:
        """The prompt's token ids; raises ``RefusedError``. Called on any thread."""

    def stops(self, request: Request) -> tuple[str, ...]:
        """The texts that end this answer."""

    def begins_thinking(self, ids: Sequence[int]) -> bool:
        """Whether an answer to this prompt begins inside its thinking."""

    def write(
        self, request: Request, ids: Sequence[int], unwanted: Callable[[], bool], read: Callable[[int], None]
    ) -> Generator[Written, None, None]:
        """Read the prompt and write the answer to it, up to the request's limit or the context.

        ``read`` is told how many tokens of the prompt are in the cache: first those that were there already. Raises
        ``BrokenOff`` as soon as ``unwanted()`` holds, and whatever the engine's library raises.
        """

    def warm_up(self) -> None:
        """Do once, before the first chat, what a library would else do in it."""

    def tune(self, unwanted: Callable[[], bool]) -> None:
        """Find out what makes the next load faster; raises ``BrokenOff`` as soon as ``unwanted()`` holds."""

    def recover(self) -> None:
        """Give back what memory a failed answer left; the next one begins with an empty cache."""

    def memory(self) -> dict[str, int]:
        """Bytes by name: at least ``kv_cache``."""

    def close(self) -> None:
        """Let go of the model."""


class BrokenOff(BaseException):
    """The answer is not wanted any more."""


def status_of(engine: Engine) -> dict[str, Any]:
    """What a host says of its engine to whoever asks for its status."""
    return {
        "engine": engine.name,
        "device": engine.device,
        "dtype": engine.dtype,
        "context": engine.context,
        "chat_template": engine.has_template,
        "cached_tokens": engine.cached_tokens,
    }
