"""One answer at a time. Requests stand in a queue; one thread, the main one, does all the computing.

Everything that touches the model happens on that thread, because the compute libraries keep a pool of threads for
every thread that calls them. A connection's thread only waits for pieces and writes them out.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tui.quantities import bytes_text
from tui.workers.host.engine import BrokenOff, Engine
from tui.workers.host.request import RefusedError, Request, Sampling
from tui.workers.host.text_stream import Chance, MarkedText, Piece

REHEARSED = Request(
    model="",
    messages=({"role": "user", "content": "Hello"},),
    prompt=None,
    sampling=Sampling(temperature=1.0, top_p=0.9, seed=0),
    max_tokens=2,
    stop=(),
    stream=True,
    include_usage=False,
    template_arguments={},
)
"""A question that nobody has asked."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended, with its counts; times are in seconds. Where several were asked for, ``reasons`` tells how
    each ended, and the counts are of all together."""

    reasons: tuple[str, ...]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float

    @property
    def finish_reason(self) -> str:
        """How the first answer ended."""
        return self.reasons[0]


@dataclass(slots=True, eq=False)
class Ticket:
    """One request in the queue. ``pieces`` brings text, then an ``Ending`` or the error that ended it."""

    request: Request
    ids: list[int]
    pieces: queue.SimpleQueue[Piece | Ending | RefusedError] = field(default_factory=queue.SimpleQueue)
    gone: threading.Event = field(default_factory=threading.Event)
    read: int = 0
    """Tokens of the prompt that are in the cache by now."""


class Desk:
    """Queue, engine and counts of one host."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tokens_served = 0
        self.requests = 0
        self.idle_since = time.monotonic()
        self.current: Ticket | None = None
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, request: Request) -> Ticket:
        """Put a request into the queue; raises ``RefusedError`` when it cannot be answered."""
        if request.logprobs is not None and not self.engine.tells_chances:
            raise RefusedError(
                400,
                f"logprobs is not supported by the engine {self.engine.name}",
                param="logprobs",
                code="invalid_value",
            )
        ids = self.engine.ids(request)
        if len(ids) >= self.engine.context:
            raise RefusedError(
                413,
                f"the prompt has {len(ids)} tokens, the context of this host {self.engine.context}",
                param="messages" if request.is_chat else "prompt",
                code="context_length_exceeded",
            )
        ticket = Ticket(request, ids)
        with self._changed:
            if self._closed:
                raise RefusedError(503, "this host is ending", code="host_ending")
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def before(self, ticket: Ticket) -> int:
        """How many answers come before this one; 0 when it is being written."""
        with self._changed, contextlib.suppress(ValueError):
            return self._waiting.index(ticket) + (self.current is not None)
        return 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last answer ended; 0 while there is work."""
        return 0.0 if self.current or self._waiting else time.monotonic() - self.idle_since

    def rehearse(self) -> None:
        """Answer a question that nobody has asked, so that the first real one finds the template read, libraries
        imported and threads started; breaks off as soon as somebody asks. What goes wrong shows in a real answer."""
        with contextlib.suppress(BrokenOff, Exception):
            written = self.engine.write(REHEARSED, self.engine.ids(REHEARSED), lambda: bool(self._waiting), _unheard)
            for _ in written:
                pass
        self.engine.recover()

    def tune(self, stop: threading.Event) -> None:
        """Let the engine measure until somebody asks or ``stop`` is set."""
        with contextlib.suppress(BrokenOff, Exception):
            self.engine.tune(lambda: bool(self._waiting) or stop.is_set())

    def work(self, stop: threading.Event, idle_limit: float | None = None) -> str:
        """Answer until ``stop`` is set or nobody asked for ``idle_limit`` seconds; returns "stop" or "idle".

        Raises only what leaves the device unusable; every other fault is the answer to its own request.
        """
        try:
            while not stop.is_set():
                ticket = self._next(0.05)
                if ticket is not None:
                    self._answer(ticket, stop)
                elif idle_limit is not None and self.idle_seconds > idle_limit:
                    return "idle"
            return "stop"
        finally:
            self._close()

    def _next(self, patience: float) -> Ticket | None:
        with self._changed:
            if not self._waiting:
                self._changed.wait(patience)
            if not self._waiting:
                return None
            self.current = self._waiting.popleft()
            return self.current

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            for ticket in self._waiting:
                ticket.pieces.put(RefusedError(503, "this host is ending", code="host_ending"))
            self._waiting.clear()

    def _answer(self, ticket: Ticket, stop: threading.Event) -> None:
        try:
            ticket.pieces.put(self._write(ticket, lambda: ticket.gone.is_set() or stop.is_set()))
        except BrokenOff:
            ticket.pieces.put(RefusedError(503, "this host is ending", code="host_ending"))
        except RefusedError as error:
            ticket.pieces.put(error)
        except Exception as error:
            ticket.pieces.put(self._fault(error))
            if "CUDA error" in str(error):
                raise  # the device is lost to this process
        finally:
            with self._changed:
                self.current = None
                self.requests += 1
                self.idle_since = time.monotonic()

    def _write(self, ticket: Ticket, unwanted: Callable[[], bool]) -> Ending:
        ends = [self._one(ticket, index, unwanted) for index in range(ticket.request.answers)]
        return Ending(
            tuple(end.finish_reason for end in ends),
            len(ticket.ids),
            ends[0].cached_tokens,
            sum(end.completion_tokens for end in ends),
            sum(end.prefill_seconds for end in ends),
            sum(end.decode_seconds for end in ends),
        )

    def _one(self, ticket: Ticket, index: int, unwanted: Callable[[], bool]) -> Ending:
        request, engine = _numbered(ticket.request, index), self.engine
        marks = MarkedText(
            engine.stops(request),
            may_think=request.is_chat and engine.may_think,
            thinks=request.is_chat and engine.begins_thinking(ticket.ids),
        )
        cached: list[int] = []

        def read(count: int) -> None:
            cached.append(count)
            ticket.read = count

        written, reason = 0, "length"
        chances: list[Chance] = []
        started = time.monotonic()
        first = started
        with contextlib.closing(engine.write(request, ticket.ids, unwanted, read)) as answer:
            for step in answer:
                written += step.tokens
                self.tokens_served += step.tokens
                first = time.monotonic() if written == step.tokens == 1 else first
                chances += step.chances
                _put(ticket, marks.feed(step.text), index, chances)
                reason = step.reason or reason
                if marks.stopped:
                    break
        _put(ticket, marks.end(), index, chances)
        ended = time.monotonic()
        reason = "stop" if marks.stopped else reason
        return Ending((reason,), len(ticket.ids), cached[0] if cached else 0, written, first - started, ended - first)

    def _fault(self, error: Exception) -> RefusedError:
        """What a fault means to the client; gives back what memory it can."""
        text = f"{type(error).__name__}: {error}"
        out_of_memory = isinstance(error, MemoryError) or any(
            mark in text for mark in ("OutOfMemoryError", "out of memory", "can't allocate memory", "not enough memory")
        )
        error.__traceback__ = None  # it holds the tensors of the failed pass
        held = f"{bytes_text(self.engine.memory().get('kv_cache'))} of caches for {self.engine.cached_tokens} tokens"
        self.engine.recover()
        words = " ".join(text.split())[:300]
        if out_of_memory:
            return RefusedError(
                507,
                f"memory ran out while answering: {words}. {held} were given back: ask again, or load the model with a"
                " shorter context, in fewer bits or on another device",
                code="out_of_memory",
            )
        return RefusedError(500, f"the model failed: {words}", code="model_failed")


def _numbered(request: Request, index: int) -> Request:
    """The request for the answer ``index``: a seed that was given is counted up, so that the answers differ."""
    seed = request.sampling.seed
    if not index or seed is None:
        return request
    return replace(request, sampling=replace(request.sampling, seed=seed + index))


def _put(ticket: Ticket, piece: Piece, index: int, chances: list[Chance]) -> None:
    """Hand on what can be shown, with the chances of the tokens that it ends."""
    if piece.text or piece.thinking:
        ticket.pieces.put(replace(piece, index=index, chances=tuple(chances)))
        chances.clear()


def _unheard(_: int) -> None:
    """Nobody watches a rehearsal."""
