"""The streaming client against a server that plays scripts over a real socket."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.chat.scripted_server import END, HEAD, Step, chunk, scripted
from tests.patience import patient
from tui.chat.client import AnswerReader, ChatClient
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import (
    EndpointGoneError,
    EndpointRefusedError,
    EndpointTimeoutError,
    EndpointUnreachableError,
    KeyRefusedError,
    ModelUnknownError,
    RateLimitedError,
)
from tui.errors import EndpointError

ASK = [Message("user", "hello")]


def client_of(address: str, **more: object) -> ChatClient:
    timeouts = {name: more.pop(name) for name in ("connect_timeout", "read_timeout") if name in more}
    return ChatClient(Endpoint("test", address, **{"model": "m", **more}), **timeouts)


def answer_of(script: list[Step], **more: object) -> AnswerReader:
    reader = AnswerReader()
    with scripted(script) as server:
        for delta in client_of(server.address, **more).stream(ASK, Parameters()):
            reader.read(delta)
    return reader


def bytewise(data: bytes) -> list[Step]:
    return [data[at : at + 1] for at in range(len(data))]


def test_tokens_arrive_in_order_with_finish_reason_and_usage() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "x": "text"}}\n\n'
    answer = answer_of(
        [HEAD, chunk("Hel"), chunk("lo"), chunk(finish_reason="length"), usage, b"data: [DONE]\n\n"]
    ).answer()
    assert answer.text == "Hello"
    assert answer.finish_reason == "length"
    assert answer.usage == {"prompt_tokens": 3, "completion_tokens": 2}


def test_a_stream_cut_into_single_bytes_is_read_whole() -> None:
    text = "naïve 漢字 👩‍👩‍👧 ends"
    assert answer_of([HEAD, *bytewise(chunk(text) + END)]).text == text


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_line_separator_inside_a_token_does_not_end_the_line(character: str) -> None:
    raw = b'data: {"choices": [{"delta": {"content": "a' + character.encode() + b'b"}}]}\n\n'
    if ord(character) < 0x20:
        raw = raw.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    text = answer_of([HEAD, raw, END]).text
    assert text == "a\ufffdb", "the token came through, and its control character was made harmless"


def test_crlf_line_ends_comments_and_unknown_fields_are_read_as_the_standard_says() -> None:
    stream = b": keep-alive\r\n\r\nid: 7\r\nretry: 10\r\n" + chunk("ok").replace(b"\n", b"\r\n") + END
    with scripted([HEAD, stream]) as server:
        deltas = list(client_of(server.address).stream(ASK, Parameters()))
    assert deltas[0].notice == "keep-alive"
    assert "".join(delta.text for delta in deltas) == "ok"


def test_data_over_several_lines_is_one_event() -> None:
    assert answer_of([HEAD, b'data: {"choices":\ndata: [{"delta": {"content": "two"}}]}\n\n', END]).text == "two"


def test_control_characters_of_a_model_are_made_harmless_but_line_ends_and_tabs_stay() -> None:
    text = answer_of([HEAD, chunk("a\x1b[31mred\tb\nc\u202ed"), END]).text
    assert text == "a\ufffd[31mred\tb\nc\ufffdd"


def test_a_line_end_cut_between_two_tokens_is_one_line_end() -> None:
    assert answer_of([HEAD, chunk("a\r"), chunk("\nb"), END]).text == "a\nb"


def test_a_surrogate_pair_cut_between_two_tokens_is_one_character() -> None:
    halves = [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % half for half in (b"\\ud83d", b"\\ude00")]
    assert answer_of([HEAD, *halves, END]).text == "😀"


def test_thinking_is_kept_apart() -> None:
    thought = chunk(delta={"reasoning_content": "hmm"})
    answer = answer_of([HEAD, thought, chunk(delta={"reasoning": " so"}), chunk("42"), END]).answer()
    assert (answer.thinking, answer.text) == ("hmm so", "42")


def test_a_server_that_does_not_stream_is_read_too() -> None:
    body = (
        b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert answer_of([head + body]).text == "whole"


def test_without_a_count_the_pieces_are_counted_and_marked() -> None:
    answer = answer_of([HEAD, chunk("a"), 0.05, chunk("b"), chunk("c"), END]).answer()
    assert answer.usage == {"completion_tokens": 3, "estimated": True}
    assert answer.tokens_per_second is not None and 0 < answer.tokens_per_second < 2 / 0.04


def test_time_to_first_token_ends_at_the_first_text() -> None:
    opening = chunk(delta={"role": "assistant", "content": ""})
    answer = answer_of([HEAD, opening, 0.3, chunk("late"), END]).answer()
    assert answer.time_to_first_token is not None and 0.25 < answer.time_to_first_token < 3


def test_the_speed_is_the_servers_own_where_it_tells_it() -> None:
    usage = {"choices": [], "usage": {"completion_tokens": 10}, "timings": {"decode_seconds": 2.0}}
    last = b"data: " + json.dumps(usage).encode() + b"\n\n"
    answer = answer_of([HEAD, chunk("all at once"), chunk("!"), chunk(finish_reason="stop"), last, END]).answer()
    assert answer.tokens_per_second == 5.0


def test_what_came_before_a_death_is_kept_and_the_error_says_where() -> None:
    seen = []
    with scripted([HEAD, chunk("half"), 0.05, "die"]) as server, pytest.raises(EndpointGoneError, match="middle"):
        for delta in client_of(server.address).stream(ASK, Parameters()):
            seen.append(delta.text)
    assert "".join(seen) == "half"


def test_an_end_without_finish_reason_is_a_death_too() -> None:
    with pytest.raises(EndpointGoneError, match="middle of the answer"):
        answer_of([HEAD, chunk("half")])


def test_an_end_without_done_is_an_end_when_the_answer_was_finished() -> None:
    assert answer_of([HEAD, chunk("all"), chunk(finish_reason="stop")]).text == "all"


def test_an_error_inside_the_stream_is_typed() -> None:
    error = b'data: {"error": {"message": "CUDA \x1b[31m out of memory", "code": "oom"}}\n\n'
    with pytest.raises(EndpointRefusedError, match="out of memory") as caught:
        answer_of([HEAD, chunk("a"), error.replace(b"\x1b", b"\\u001b")])
    assert caught.value.code == "oom"
    assert "\x1b" not in caught.value.summary


def test_broken_json_in_a_stream_is_an_endpoint_error() -> None:
    with pytest.raises(EndpointError, match="broken piece"):
        answer_of([HEAD, b"data: {nonsense\n\n"])


def refused(status: int, body: bytes, headers: bytes = b"") -> list[Step]:
    return [b"HTTP/1.1 %d No\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)]


def test_429_carries_the_wait_in_seconds_or_from_a_date() -> None:
    with pytest.raises(RateLimitedError) as caught:
        answer_of(refused(429, b'{"error": {"message": "slow down"}}', b"Retry-After: 77\r\n"))
    assert caught.value.retry_after == 77
    assert "slow down" in caught.value.summary and "77 s" in caught.value.hint
    date = formatdate(time.time() + 160, usegmt=True).encode()
    with pytest.raises(RateLimitedError) as caught:
        answer_of(refused(429, b"", b"Retry-After: " + date + b"\r\n"))
    assert caught.value.retry_after is not None and 150 < caught.value.retry_after < 161


def test_a_short_wait_is_kept_and_said_and_then_the_answer_comes() -> None:
    wait = refused(429, b'{"error": {"message": "slow down"}}', b"Retry-After: 1\r\n")
    scripts = iter([wait, [HEAD, chunk("late"), END]])
    with scripted(lambda seen: next(scripts)) as server:
        deltas = list(client_of(server.address).stream(ASK, Parameters()))
    assert deltas[0].notice.startswith("asked to slow down: again in 1 s")
    assert "".join(delta.text for delta in deltas) == "late" and len(server.seen) == 2


def test_stop_ends_the_wait() -> None:
    stop = threading.Event()
    with scripted(refused(429, b"", b"Retry-After: 30\r\n")) as server:
        began = time.monotonic()
        for delta in client_of(server.address).stream(ASK, Parameters(), stop):
            assert delta.notice
            stop.set()
        assert time.monotonic() - began < patient(5) and len(server.seen) == 1


@pytest.mark.parametrize(
    ("kind", "fields", "last"),
    [
        ("heft", {"continue_final_message": True, "add_generation_prompt": False}, "assistant"),
        ("textgen", {"continue_": True}, "assistant"),
        ("llama-server", {}, "assistant"),
        ("", {}, "user"),
    ],
)
def test_each_server_is_asked_to_go_on_in_its_own_way(kind: str, fields: dict[str, bool], last: str) -> None:
    client = ChatClient(Endpoint("test", "http://127.0.0.1:1/v1", kind=kind))
    request = client._request("m", [*ASK, Message("assistant", "half")], Parameters(), go_on=True)
    assert {name: value for name, value in request.items() if "contin" in name or "generation" in name} == fields
    assert request["messages"][-1]["role"] == last


def test_thinking_that_a_server_leaves_in_the_text_is_taken_apart() -> None:
    answer = answer_of([HEAD, chunk("<th"), chunk("ink>so"), chunk("</think>\n\n42"), END]).answer()
    assert (answer.thinking, answer.text, answer.thinking_tokens) == ("so", "42", 1)


@pytest.mark.parametrize(
    ("status", "kind", "exit_code"),
    [
        (401, KeyRefusedError, 4),
        (404, ModelUnknownError, 3),
        (413, EndpointRefusedError, 1),
        (500, EndpointRefusedError, 1),
    ],
)
def test_refusals_are_typed(status: int, kind: type[EndpointError], exit_code: int) -> None:
    with pytest.raises(kind, match="reason") as caught:
        answer_of(refused(status, b'{"error": {"message": "the reason"}}'))
    assert caught.value.exit_code == exit_code


def test_a_refusal_never_repeats_the_key() -> None:
    with pytest.raises(KeyRefusedError) as caught:
        answer_of(refused(401, b'{"error": {"message": "bad key sk-secret123"}}'), api_key="sk-secret123")
    assert "sk-secret123" not in caught.value.summary + caught.value.hint


def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown() -> None:
    with pytest.raises(KeyRefusedError) as caught:
        client_of("http://127.0.0.1:9/v1", api_key="sk-secret\n")
    assert "sk-secret" not in caught.value.summary


def test_the_key_does_not_show_in_a_representation() -> None:
    assert "sk-secret" not in repr(Endpoint("x", "https://example.org/v1", api_key="sk-secret"))


def test_redirects_are_refused_and_the_key_stays_with_its_origin() -> None:
    with scripted([HEAD, chunk("stolen"), END]) as foreign:
        to = f"Location: {foreign.address}/chat/completions\r\n".encode()
        with scripted(refused(307, b"", to)) as server, pytest.raises(EndpointRefusedError, match="redirects"):
            list(client_of(server.address, api_key="k").stream(ASK, Parameters()))
        assert server.seen[0].headers["authorization"] == "Bearer k"
        assert foreign.seen == []


def test_without_a_key_nothing_is_sent_whatever_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "leak")
    with scripted([HEAD, END]) as server:
        list(client_of(server.address).stream(ASK, Parameters()))
    assert "authorization" not in server.seen[0].headers
    assert "leak" not in str(server.seen[0].headers)


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    assert answer_of([HEAD, chunk("direct"), END]).text == "direct"


def test_only_chosen_parameters_are_sent() -> None:
    parameters = Parameters(temperature=0, top_k=5, max_tokens=7, stop=("x",))
    with scripted([HEAD, END]) as server:
        list(client_of(server.address).stream([*ASK, Message("assistant", "a", thinking="t")], parameters))
    assert server.seen[0].path == "/v1/chat/completions"
    assert server.seen[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "a"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "top_k": 5,
        "max_tokens": 7,
        "stop": ["x"],
    }


def test_providers_get_what_they_take() -> None:
    parameters = Parameters(top_k=5, max_tokens=7)
    request = ChatClient(Endpoint("c", "https://api.cohere.ai/compatibility/v1"))._request("m", ASK, parameters)
    assert "stream_options" not in request and "top_k" not in request
    request = ChatClient(Endpoint("o", "https://api.openai.com/v1"))._request("m", ASK, parameters)
    assert request["max_completion_tokens"] == 7 and "max_tokens" not in request


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/models"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/models"),
        ("https://g.com/v1beta/openai/", "https://g.com/v1beta/openai/models"),
        ("unix:/tmp/s.sock", "http://localhost/v1/models"),
    ],
)
def test_base_urls_are_completed(base: str, url: str) -> None:
    assert Endpoint("x", base).url("models") == url


def test_an_endpoint_without_a_model_takes_the_first_one_offered() -> None:
    body = b'{"data": [{"id": "only"}]}'

    def script(seen: object) -> list[Step]:
        return refused(200, body) if seen.path.endswith("/models") else [HEAD, chunk("x"), END]  # type: ignore[attr-defined]

    with scripted(script) as server:
        list(client_of(server.address, model="").stream(ASK, Parameters()))
        assert server.seen[1].body["model"] == "only"
        assert client_of(server.address).models() == ["only"]
        assert client_of(server.address).health()


def test_nobody_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EndpointUnreachableError, match="nobody answers"):
        list(client_of("http://127.0.0.1:9/v1").stream(ASK, Parameters()))
    gone = client_of(f"unix:{tmp_path}/gone.sock", local=True)
    with pytest.raises(EndpointUnreachableError) as caught:
        list(gone.stream(ASK, Parameters()))
    assert "load the model again" in caught.value.hint
    assert not gone.health()


def test_silence_ends_at_the_limit() -> None:
    started = time.monotonic()
    with pytest.raises(EndpointTimeoutError, match=r"silent for 0\.3 s"):
        answer_of([HEAD, chunk("a"), "wait"], read_timeout=0.3)
    assert time.monotonic() - started < patient(5)


@pytest.mark.parametrize(
    "script", [["wait"], [HEAD, "wait"], [HEAD, chunk("a"), "wait"]], ids=["head", "first", "next"]
)
def test_stop_closes_the_connection_at_once(script: list[Step], tmp_path: Path) -> None:
    stop = threading.Event()
    with scripted(script, unix=str(tmp_path / "s.sock")) as server:
        seconds = []

        def press() -> None:
            while not server.seen:
                time.sleep(0.005)
            time.sleep(0.1)
            seconds.append(time.monotonic())
            stop.set()

        threading.Thread(target=press).start()
        list(client_of(server.address).stream(ASK, Parameters(), stop))
        ended = time.monotonic()
        deadline = ended + 5
        while not server.closed_at and time.monotonic() < deadline:
            time.sleep(0.005)
    assert server.closed_at, "the server saw the client leave"
    assert ended - seconds[0] < 0.5, "stop took too long"
    assert server.closed_at[0] - seconds[0] < 0.5


def test_closing_the_iterator_closes_the_connection() -> None:
    with scripted([HEAD, chunk("a"), "wait"]) as server:
        stream = client_of(server.address).stream(ASK, Parameters())
        next(stream)
        stream.close()
        deadline = time.monotonic() + 5
        while not server.closed_at and time.monotonic() < deadline:
            time.sleep(0.005)
        assert server.closed_at


def test_an_endless_line_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.chat.server_sent_events.EVENT_LIMIT", 100_000)
    with pytest.raises(EndpointGoneError, match="not an answer"):
        answer_of([HEAD, *[b"x" * 10_000] * 50])


def test_a_web_page_instead_of_an_api_is_said_plainly() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>sign in</html>"
    with pytest.raises(EndpointError):
        answer_of([page])
