"""Asks one contestant one thing, with patience: rate limits and passing faults are waited out, the rest is told.

A parameter that an endpoint refuses by name is left out and noted, so that one strict provider does not fall out of a
trial for the seed. Nothing here knows where the answer goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tui.chat.answer import AnswerReader, Delta
from tui.chat.client import ChatClient
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import EndpointRefusedError, EndpointUnreachableError, RateLimitedError
from tui.errors import EndpointError

TRIES = 8
LONGEST_WAIT = 120.0
"""Seconds that one rate limit is waited out at most; an endpoint that asks for more is told about instead."""

SHORT_ANSWER, SHORT_SPAN, FEW_PIECES = 8, 0.05, 4
"""Tokens, seconds and pieces below which no rate is computed: over three tokens it is noise, and an answer that came in
one burst was written at a rate that nobody saw."""

_OPTIONAL = ("seed", "temperature", "top_p", "top_k", "min_p", "stop", "repetition_penalty", "frequency_penalty",
             "presence_penalty")  # fmt: skip
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low")


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a request. ``seconds`` runs from the request to the last piece; ``waited`` is what rate limits took
    before it; ``left_out`` are the parameters that the endpoint refused."""

    text: str = ""
    thinking: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0
    counted: bool = False
    time_to_first_token: float | None = None
    seconds: float = 0.0
    decode_rate: float | None = None
    waited: float = 0.0
    tries: int = 1
    left_out: tuple[str, ...] = ()
    error: EndpointError | None = None
    stopped: bool = False


@dataclass
class Sofar:
    """What has come of an answer that still streams, for whoever shows it."""

    reader: AnswerReader = field(default_factory=AnswerReader)
    usage: dict[str, Any] | None = None
    pieces: int = 0
    thinking_pieces: int = 0
    first: float | None = None
    last: float = 0.0

    def take(self, delta: Delta) -> None:
        """One more piece."""
        self.reader.read(delta)
        if delta.usage is not None:
            self.usage = dict(delta.usage)
        if delta.text or delta.thinking:
            self.pieces += 1
            self.thinking_pieces += 1 if delta.thinking and not delta.text else 0
            self.first = delta.at if self.first is None else self.first
            self.last = delta.at


def ask(
    endpoint: Endpoint,
    messages: Sequence[Message],
    parameters: Parameters,
    *,
    stop: threading.Event,
    timeout: float,
    show: Callable[[Sofar], None] = lambda sofar: None,
    tell: Callable[[str], None] = lambda words: None,
) -> Asked:
    """Ask until there is an answer or a reason. ``show`` sees every piece; ``tell`` hears why it waits. Never raises
    ``EndpointError``: it stands in the result."""
    client = ChatClient(endpoint, read_timeout=timeout, tries=1)  # what is waited for is counted here
    waited = 0.0
    left_out: tuple[str, ...] = ()
    for number in range(1, TRIES + 1):
        sofar = Sofar()
        try:
            for delta in client.stream(messages, parameters, stop):
                if delta.notice:
                    tell(delta.notice)
                sofar.take(delta)
                show(sofar)
        except EndpointError as error:
            name = _refused_parameter(error, parameters)
            wait = _wait_for(error, number) if sofar.pieces == 0 else None
            if name and sofar.pieces == 0:
                parameters, left_out = replace(parameters, **{name: _nothing(name)}), (*left_out, name)
                continue
            if wait is None or number == TRIES or stop.is_set():
                return _result(sofar, messages, waited, number, left_out, error, stop.is_set())
            tell(f"{error.summary}; waits {wait:.0f} s" if wait >= 1 else error.summary)
            stop.wait(wait)
            waited += wait
            continue
        return _result(sofar, messages, waited, number, left_out, None, stop.is_set())
    raise AssertionError("the last try returns")


def tokens_in(text: str) -> int:
    """A count of tokens for where no server counted: four bytes of UTF-8 each, the usual of English prose."""
    return -(-len(text.encode()) // 4)


def prompt_tokens_in(messages: Sequence[Message]) -> int:
    """The same for a prompt, with four more for the frame of each message."""
    return sum(tokens_in(message.content) + 4 for message in messages)


def counted_tokens(sofar: Sofar) -> int:
    """Tokens of an answer that the server did not count: a piece is a token at most endpoints, and several at some."""
    return max(sofar.pieces, tokens_in(sofar.reader.text) + tokens_in(sofar.reader.thinking))


def _result(
    sofar: Sofar,
    messages: Sequence[Message],
    waited: float,
    tries: int,
    left_out: tuple[str, ...],
    error: EndpointError | None,
    stopped: bool,
) -> Asked:
    answer = sofar.reader.answer()
    usage = sofar.usage or {}
    reported = isinstance(usage.get("completion_tokens"), int)
    nothing_came = sofar.pieces == 0 and error is not None
    completion = int(usage["completion_tokens"]) if reported else counted_tokens(sofar)
    prompt = 0 if nothing_came else int(usage.get("prompt_tokens") or prompt_tokens_in(messages))
    details = usage.get("completion_tokens_details") or {}
    thinking = details.get("reasoning_tokens")
    if thinking is None:
        thinking = min(completion, max(sofar.thinking_pieces, tokens_in(answer.thinking))) if answer.thinking else 0
    span = sofar.last - sofar.first if sofar.first is not None else 0.0
    measurable = completion >= SHORT_ANSWER and span >= SHORT_SPAN and sofar.pieces >= FEW_PIECES
    return Asked(
        text=answer.text,
        thinking=answer.thinking,
        finish_reason="" if error or stopped else answer.finish_reason,
        prompt_tokens=prompt,
        completion_tokens=completion,
        thinking_tokens=int(thinking),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        counted=not reported and not nothing_came,
        time_to_first_token=sofar.first,
        seconds=sofar.last,
        decode_rate=(completion - 1) / span if measurable else None,
        waited=waited,
        tries=tries,
        left_out=left_out,
        error=error,
        stopped=stopped,
    )


def _wait_for(error: EndpointError, number: int) -> float | None:
    """Seconds to wait before the next try; None when another try is of no use."""
    backing_off = min(LONGEST_WAIT, 2.0 ** (number - 1))
    if isinstance(error, RateLimitedError):
        if error.code in _NO_CREDIT or (error.retry_after or 0) > LONGEST_WAIT:
            return None
        return backing_off if error.retry_after is None else error.retry_after
    if isinstance(error, EndpointRefusedError):
        return backing_off if error.status >= 500 and number < 4 else None
    return backing_off if isinstance(error, EndpointUnreachableError) and number < 3 else None


def _refused_parameter(error: EndpointError, parameters: Parameters) -> str:
    """The parameter of ours that a refusal complains about; empty when it complains about something else."""
    if not isinstance(error, EndpointRefusedError) or error.status not in (400, 422):
        return ""
    words = error.summary.casefold()
    return next((name for name in _OPTIONAL if name in parameters.chosen() and name in words), "")


def _nothing(name: str) -> Any:
    return () if name == "stop" else None
