"""Patience: rate limits are waited out, refused parameters left out and noted, deaths told with what had come."""

from __future__ import annotations

import threading
from typing import Any

from tests.chat.scripted_server import HEAD, Seen, Step, chunk, scripted
from tests.compare.panels import refusal, said
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.compare.asking import Asked, ask, tokens_in

HELLO = [Message("user", "hello there")]


def asked(script: Any, parameters: Parameters | None = None, stop: threading.Event | None = None) -> tuple[Asked, Any]:
    with scripted(script) as server:
        found = ask(
            Endpoint("e", server.address, model="m"),
            HELLO,
            parameters or Parameters(max_tokens=9),
            stop=stop or threading.Event(),
            timeout=5,
        )
        return found, server


def test_a_rate_limit_is_waited_out_and_counted_apart() -> None:
    answers = iter([[refusal(429, "slow", "Retry-After: 0.2")], [refusal(503, "busy")], said(["a ", "b"], 3, 0.01)])
    found, server = asked(lambda seen: next(answers))
    assert (found.text, found.tries, found.error) == ("a b", 3, None)
    assert found.waited >= 2.2  # what the server asked for, then two seconds for the busy one
    assert found.time_to_first_token is not None and found.time_to_first_token < 1.0
    assert len(server.seen) == 3


def test_no_credit_is_not_waited_for() -> None:
    body = b'{"error": {"message": "pay", "code": "insufficient_quota"}}'
    head = f"HTTP/1.1 429 No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    found, server = asked([head + body])
    assert found.error is not None and len(server.seen) == 1
    assert (found.prompt_tokens, found.completion_tokens) == (0, 0)


def test_a_parameter_that_is_refused_by_name_is_left_out_and_noted() -> None:
    def script(seen: Seen) -> list[Step]:
        if "seed" in seen.body:
            return [refusal(422, "extra field not permitted: seed")]
        return said(["fine"], 3)

    found, server = asked(script, Parameters(seed=7, temperature=0.0, max_tokens=9))
    assert found.text == "fine" and found.left_out == ("seed",)
    assert server.seen[-1].body["temperature"] == 0.0 and "seed" not in server.seen[-1].body


def test_a_death_in_the_middle_keeps_what_came_and_counts_it() -> None:
    found, server = asked([HEAD, chunk("half an "), chunk("answer"), 0.05, "die"])
    assert found.error is not None and "middle" in found.error.summary
    assert found.text == "half an answer" and found.counted
    assert found.completion_tokens == max(2, tokens_in("half an answer")) and found.prompt_tokens > 0
    assert len(server.seen) == 1, "what may have cost money is not asked again behind the user's back"


def test_tokens_of_the_server_win_and_thinking_stands_apart() -> None:
    found, _ = asked(said(["w "] * 12, 21, 0.02, thinking=5))
    assert (found.prompt_tokens, found.completion_tokens, found.thinking_tokens) == (21, 12, 5)
    assert not found.counted and found.decode_rate is not None and 5 < found.decode_rate < 60


def test_a_burst_has_no_rate() -> None:
    found, _ = asked([b"".join(step for step in said(["w "] * 30, 5) if isinstance(step, bytes))])
    assert found.completion_tokens == 30 and found.decode_rate is None


def test_stop_ends_at_once() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    found, _ = asked([HEAD, chunk("a"), "wait"], stop=stop)
    assert found.stopped and found.text == "a"
