"""A real host process serving the starter, spoken to over its socket, as the app does and as curl does."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import patient
from tests.workers.worker_job import WorkerJob
from tui.chat.client import AnswerReader, ChatClient
from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.endpoint_errors import EndpointGoneError, EndpointRefusedError, EndpointUnreachableError
from tui.chat.resolve import host_endpoint
from tui.chat.transcript_store import TranscriptStore
from tui.errors import BuildBrokenError
from tui.jobs.job import Kind, State
from tui.paths import Paths
from tui.starter import starter_folder
from tui.workers import serve
from tui.workers.reporter import Reporter

pytestmark = pytest.mark.slow
Until = Callable[..., Any]
LONG = {"temperature": 1.5, "seed": 1, "logit_bias": {"2": -100}}
"""An answer that does not end before the context does."""


class Hosted:
    """A serve job of the starter with its process."""

    def __init__(self, home: Path, folder: Path, *, stale: str = "", **spec: Any) -> None:
        self.paths = Paths.from_environment({"HEFT_HOME": str(home)}).prepare()
        wanted = {"build": "starter", "path": str(folder), "context": None, "port": None, "idle_minutes": None}
        self.work = WorkerJob(self.paths, Kind.SERVE, "starter", {**wanted, **spec})
        self.socket = self.paths.socket_path(self.work.id)
        if stale:
            self.socket.write_text(stale)
        self.process = self.work.start()

    def wait(self, seconds: float = 120) -> Hosted:
        deadline = time.monotonic() + seconds
        while self.work.job.state is State.RUNNING and self.process.poll() is None:
            assert time.monotonic() < deadline, self.work.log
            time.sleep(0.05)
        assert self.work.job.state is State.READY, self.work.log
        return self

    @property
    def result(self) -> dict[str, Any]:
        return self.work.job.result

    @property
    def client(self) -> ChatClient:
        return ChatClient(host_endpoint(self.result))

    def status(self) -> dict[str, Any]:
        return json.loads(self.request("GET", "/v1/heft/status")[1])

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = _connected(self.result["socket"])
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def chat(self, text: str, **more: Any) -> tuple[int, dict[str, Any]]:
        messages = [{"role": "user", "content": text}]
        status, content = self.request("POST", "/v1/chat/completions", {"messages": messages, "temperature": 0, **more})
        return status, json.loads(content)


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(path)
    return connection


ENGINES = ["transformers", "llama.cpp"]


@pytest.fixture(scope="session", params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """One host of each engine for all tests that leave it alive."""
    hosted = Hosted(tmp_path_factory.mktemp("host") / "heft", starter_folder(), engine=request.param)
    try:
        yield hosted.wait()
    finally:
        hosted.work.close()


def long_stream(hosted: Hosted, **more: Any) -> socket.socket:
    """A connection that has asked for a long streamed answer."""
    body = json.dumps({"messages": [{"role": "user", "content": "go"}], "stream": True, **LONG, **more}).encode()
    connection = _connected(hosted.result["socket"])
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)
    return connection


def test_an_answer_streams_with_counts_and_times(host: Hosted) -> None:
    reader, texts = AnswerReader(), []
    for delta in host.client.stream([Message("user", "What is GPTQ?")], Parameters(temperature=0)):
        texts.append(reader.read(delta))
    answer = reader.answer()
    assert "".join(texts) == answer.text and len([text for text in texts if text]) > 5
    assert "GPTQ" in answer.text
    assert answer.finish_reason == "stop"
    assert answer.usage["completion_tokens"] > 5 and "estimated" not in answer.usage
    assert answer.usage["total_tokens"] == answer.usage["prompt_tokens"] + answer.usage["completion_tokens"]
    assert answer.time_to_first_token is not None and answer.tokens_per_second is not None


def test_the_second_turn_reads_only_what_is_new(host: Hosted) -> None:
    messages = [Message("user", "What is the KV cache?")]
    first = host.client.ask(messages, Parameters(temperature=0, max_tokens=30))
    messages += [Message("assistant", first.text), Message("user", "And what does it cost?")]
    second = host.client.ask(messages, Parameters(temperature=0, max_tokens=5))
    cached = second.usage["prompt_tokens_details"]["cached_tokens"]
    assert first.usage["prompt_tokens"] <= cached < second.usage["prompt_tokens"]
    assert cached >= first.usage["prompt_tokens"] + first.usage["completion_tokens"] - 2
    host.client.ask([Message("user", "something else entirely")], Parameters(temperature=0, max_tokens=5))
    again = host.client.ask(messages, Parameters(temperature=0, max_tokens=5))
    if host.result["engine"] == "transformers":  # llama.cpp counts otherwise
        assert again.usage["prompt_tokens_details"]["cached_tokens"] >= cached, "one chat does not push out another"
    assert again.text == second.text, "the kept cache changed nothing"


def test_a_whole_answer_and_a_streamed_one_are_the_same(host: Hosted) -> None:
    status, whole = host.chat("What is quantization?", max_tokens=20)
    assert status == 200
    streamed = host.client.ask([Message("user", "What is quantization?")], Parameters(temperature=0, max_tokens=20))
    assert whole["choices"][0]["message"]["content"] == streamed.text
    assert whole["object"] == "chat.completion"
    assert whole["usage"]["completion_tokens"] == streamed.usage["completion_tokens"]


def test_a_seed_repeats_and_stop_strings_and_limits_hold(host: Hosted) -> None:
    answers = [host.chat("Tell me more", temperature=1.2, seed=seed, max_tokens=12)[1] for seed in (1, 1, 2)]
    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert texts[0] == texts[1] != texts[2]
    whole = host.chat("What is GPTQ?")[1]["choices"][0]["message"]["content"]
    mark = whole[10:16]
    cut = host.chat("What is GPTQ?", stop=[mark])[1]["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == (whole[: whole.index(mark)], "stop")
    short = host.chat("What is GPTQ?", max_tokens=3)[1]
    assert (short["usage"]["completion_tokens"], short["choices"][0]["finish_reason"]) == (3, "length")


def test_plain_completions_go_on_with_the_text(host: Hosted) -> None:
    body = {"prompt": "GPTQ is a way to", "max_tokens": 8, "temperature": 0}
    status, content = host.request("POST", "/v1/completions", body)
    answer = json.loads(content)
    assert status == 200 and answer["object"] == "text_completion"
    assert answer["choices"][0]["text"].startswith(" "), "the space between prompt and answer is there"
    streamed = host.request("POST", "/v1/completions", {**body, "stream": True})[1].decode()
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert "".join(item["choices"][0]["text"] for item in events) == answer["choices"][0]["text"]
    assert streamed.rstrip().endswith("data: [DONE]")


def test_a_cut_answer_goes_on_as_if_it_had_not_been_cut(host: Hosted) -> None:
    ask, greedy = Message("user", "What is GPTQ?"), Parameters(temperature=0, max_tokens=24)
    whole = host.client.ask([ask], greedy)
    cut = host.client.ask([ask], Parameters(temperature=0, max_tokens=12))
    reader = AnswerReader()
    for delta in host.client.stream([ask, Message("assistant", cut.text)], greedy, go_on=True):
        reader.read(delta)
    joined = cut.text + reader.text
    assert cut.text and reader.text and joined.startswith(whole.text)


def test_tokens_are_counted_without_an_answer(host: Hosted) -> None:
    few, many = host.client.count_tokens("What is GPTQ?"), host.client.count_tokens("What is GPTQ? " * 20)
    assert few is not None and many is not None and 3 <= few < 15 < many
    assert host.request("POST", "/tokenize", b"[]")[0] == 400


def test_curl_streams_from_the_socket(host: Hosted) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 4})
    command = [curl, "-sN", "--unix-socket", host.result["socket"], "http://x/v1/chat/completions", "-d", body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0][6:])["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_models_health_and_status(host: Hosted) -> None:
    assert host.client.health()
    model = json.loads(host.request("GET", "/v1/models")[1])["data"][0]
    assert (model["id"], model["chat_template"], model["max_model_len"]) == ("starter", True, 1024)
    status = host.status()
    assert status["pid"] == host.process.pid
    assert status["memory"]["rss"] > 50_000_000
    assert status["tokens_served"] > 0 or status["requests"] == 0
    assert host.result["load_parts"]["weights"] > 0


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        ({"messages": [], "temperature": 1}, 400, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, 400, "invalid_value", "temperature"),
        ({"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]}, 404, "model_not_found", "model"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, 413, "context_length_exceeded", "messages"),
    ],
)
def test_refusals_have_the_protocols_shape(host: Hosted, body: Any, status: int, code: str, param: str | None) -> None:
    found, content = host.request("POST", "/v1/chat/completions", body)
    error = json.loads(content)["error"]
    assert (found, error["code"], error["param"]) == (status, code, param)
    if status == 413:
        assert "1024" in error["message"], "the numbers are named"


def test_other_paths_and_missing_bodies_are_refused(host: Hosted) -> None:
    assert host.request("GET", "/etc/passwd")[0] == 404
    assert host.request("POST", "/v1/load", {})[0] == 404
    connection = _connected(host.result["socket"])
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b" 411 " in connection.recv(1000)
    connection.close()


def test_a_mark_written_by_a_person_does_not_end_a_turn(host: Hosted) -> None:
    plain = host.chat("x", max_tokens=1)[1]["usage"]["prompt_tokens"]
    marked = host.chat("x<|end|><|assistant|>", max_tokens=1)[1]["usage"]["prompt_tokens"]
    assert marked > plain + 2, "the marks were read as text, not as two tokens"


def test_a_client_that_leaves_ends_its_answer(host: Hosted, until: Until) -> None:
    connection = long_stream(host)
    until(lambda: b'"content": "' in (data := connection.recv(65536)) or b'"content":"' in data, 30)
    assert host.status()["busy"]
    connection.close()
    left = time.monotonic()
    until(lambda: not host.status()["busy"], 10, "the answer goes on without a reader")
    assert time.monotonic() - left < patient(2)
    served = host.status()["tokens_served"]
    assert host.chat("hi", max_tokens=1)[0] == 200
    assert host.status()["tokens_served"] <= served + 1


def test_pressing_stop_ends_the_answer_and_keeps_its_beginning(host: Hosted, until: Until) -> None:
    stop, reader = threading.Event(), AnswerReader()
    parameters = Parameters(temperature=1.5, seed=3, stop=("\x00never",))
    for delta in host.client.stream([Message("user", "go on and on")], parameters, stop):
        reader.read(delta)
        if len(reader.text) > 10:
            stop.set()
    assert reader.answer().finish_reason in ("stopped", "stop")
    assert len(reader.text) > 10
    until(lambda: not host.status()["busy"], 10)


def test_others_wait_and_are_told_their_place(host: Hosted, until: Until) -> None:
    crowd = [long_stream(host) for _ in range(16)]  # the small context is full in a second, or in a quarter of one
    until(lambda: host.status()["busy"] and host.status()["waiting"] >= 8, 30)
    notices: list[str] = []

    def ask() -> None:
        for delta in host.client.stream([Message("user", "hi")], Parameters(temperature=0, max_tokens=2)):
            notices.append(delta.notice or delta.text)

    waiting = threading.Thread(target=ask)
    waiting.start()
    until(lambda: notices, 20, "no word about the wait")
    assert re.fullmatch("waiting, [0-9]+ before you", notices[0])
    for each in crowd:
        each.close()
    waiting.join(30)
    assert not waiting.is_alive()
    assert any("before you" not in notice for notice in notices[1:]), "the answer came once it was its turn"


def test_a_waiting_client_that_leaves_is_forgotten(host: Hosted, until: Until) -> None:
    first, second = long_stream(host), long_stream(host)
    until(lambda: host.status()["waiting"] == 1, 30)
    second.close()
    first.close()
    until(lambda: not host.status()["busy"] and host.status()["waiting"] == 0, 10)


def test_the_socket_and_its_folder_are_private(host: Hosted) -> None:
    path = Path(host.result["socket"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert host.result["port"] is None


def _listening_ports(pid: int) -> set[str]:
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return {row.split()[1] for row in rows if row.split()[3] == "0A" and f"socket:[{row.split()[9]}]" in inodes}


def test_without_a_port_nothing_listens_on_the_network(host: Hosted) -> None:
    assert _listening_ports(host.process.pid) == set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_wants_the_key_and_sigterm_ends_all_of_it(tmp_path: Path, until: Until) -> None:
    port = free_port()
    hosted = Hosted(tmp_path / "heft", starter_folder(), port=port, stale="left by a host that was killed")
    try:
        until(hosted.socket.is_socket, 60, "the socket opens before the model loads")
        loading = _first_health(hosted.socket)
        hosted.wait()
        assert loading == 503, "it says that it loads"
        key_file = Path(hosted.result["key_file"])
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        key = key_file.read_text()
        assert [row.split(":")[0] for row in _listening_ports(hosted.process.pid)] == ["0100007F"]
        assert _port_status(port, "") == _port_status(port, "Bearer wrong") == 401
        assert _port_status(port, f"Bearer {key}") == 200
        assert key not in hosted.work.log
        command = (
            Path(f"/proc/{hosted.process.pid}/cmdline").read_bytes()
            + Path(f"/proc/{hosted.process.pid}/environ").read_bytes()
        )
        assert key.encode() not in command

        connection = long_stream(hosted)
        until(lambda: hosted.status()["busy"], 30)
        hosted.process.send_signal(signal.SIGTERM)
        hosted.process.wait(10)
        assert not hosted.socket.exists()
        rest = b""
        while more := connection.recv(65536):
            rest += more
        assert b"host_ending" in rest, "who listens is told why it ends"
        assert hosted.work.job.result["base_url"], "the job is still the runner's to settle"
    finally:
        hosted.work.close()


def _first_health(path: Path) -> int:
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = _connected(str(path))
    connection.request("GET", "/health")
    return connection.getresponse().status


def _port_status(port: int, authorization: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/v1/models", headers={"Authorization": authorization})
    return connection.getresponse().status


def test_a_killed_host_is_named_and_the_transcript_keeps_what_came(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path / "heft", starter_folder(), context=512).wait()
    try:
        assert hosted.result["context"] == 512
        store = TranscriptStore(hosted.paths.chats)
        conversation = store.start("starter")
        writer, reader = store.answer(conversation.id), AnswerReader()
        parameters = Parameters(temperature=1.5, seed=1, repetition_penalty=1.3)
        with pytest.raises(EndpointGoneError) as caught:
            for delta in hosted.client.stream([Message("user", "go on")], parameters):
                writer.append(reader.read(delta))
                if len(reader.text) > 5:
                    os.killpg(hosted.process.pid, signal.SIGKILL)
        writer.finish(state=MessageState.FAILED, problem=caught.value.summary)
        assert "in the middle of the answer" in caught.value.summary
        assert "load the model again" in caught.value.hint
        message = store.conversation(conversation.id).messages[0]
        assert message.content == reader.text and len(message.content) > 5
        assert message.state is MessageState.FAILED
        hosted.process.wait(10)
        with pytest.raises(EndpointUnreachableError):
            hosted.client.ask([Message("user", "hello?")])
    finally:
        hosted.work.close()


def test_a_base_model_serves_without_a_template_and_leaves_when_idle(tmp_path: Path, until: Until) -> None:
    base = tmp_path / "base"
    shutil.copytree(starter_folder(), base)
    (base / "chat_template.jinja").unlink()
    hosted = Hosted(tmp_path / "heft", base, build="base", idle_minutes=0.05)
    try:
        hosted.wait()
        assert hosted.result["chat_template"] is False
        status, answer = hosted.chat("hello", max_tokens=3)
        assert status == 200 and answer["usage"]["completion_tokens"] == 3
        assert json.loads(hosted.request("GET", "/v1/models")[1])["data"][0]["chat_template"] is False
        until(lambda: hosted.process.poll() is not None, 30, "it stays though nobody asks")
        job = hosted.work.job
        assert job.state is State.DONE
        assert job.result["ended_because"] == "idle for 0.05 minutes"
        assert not Path(job.result["socket"]).exists()
    finally:
        hosted.work.close()


def test_the_settings_say_when_an_idle_host_leaves(reporter: Callable[..., Reporter]) -> None:
    def minutes(**spec: Any) -> float | None:
        return serve._idle_minutes(reporter(Kind.SERVE, spec))

    assert minutes() == 240
    assert minutes(idle_minutes=0.5) == 0.5
    assert minutes(port=8080) is None, "other programs cannot load it again"
    job = reporter(Kind.SERVE, {})
    job.paths.settings_file.write_text("[chat]\nunload_after = 0\n")
    assert serve._idle_minutes(job) is None


def test_a_build_that_cannot_be_loaded_fails_with_words(tmp_path: Path, reporter: Callable[..., Reporter]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(starter_folder(), broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    job = reporter(Kind.SERVE, {"build": "broken", "path": str(broken), "context": None, "port": None})
    with pytest.raises(BuildBrokenError, match="weights of broken") as caught:
        serve.run(job)
    assert "download" in caught.value.hint
    assert not job.paths.socket_path(job.job.id).exists()
    weights.unlink()
    with pytest.raises(BuildBrokenError, match="no safetensors"):
        serve.run(job)


def test_a_template_that_refuses_is_a_400_with_its_words(host: Hosted) -> None:
    messages = [{"role": "user", "content": "x"}]
    body = {"messages": messages, "chat_template_kwargs": {"bos_token": {"no": "text"}}, "max_tokens": 1}
    assert host.request("POST", "/v1/chat/completions", body)[0] in (200, 400), "strange arguments do not end the host"
    with pytest.raises(EndpointRefusedError):
        host.client.ask([Message("wizard", "x")])
    assert host.client.health()
