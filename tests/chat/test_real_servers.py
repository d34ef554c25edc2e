"""The one client against servers of others, run for real: llama.cpp's own server, and ``transformers serve``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workers.gguf_files import exported
from tui.chat.client import ChatClient
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.probe import known_endpoint, probe
from tui.errors import EndpointError
from tui.starter import starter_folder
from tui.workers.llama_cpp import why_not

pytestmark = pytest.mark.slow
ASK = [Message("user", "What is GPTQ?")]
GREEDY = Parameters(temperature=0.0, max_tokens=24)
LLAMA_SERVER = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.port = sys.argv[1], 1024, int(sys.argv[2])
params.hostnames = ["127.0.0.1"]
params.n_parallel, params.cache_ram_mib, params.verbosity, params.ui = 1, 0, 0, False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
time.sleep(600)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answering(words: list[str], port: int, seconds: float = 90) -> Iterator[str]:
    """Run a server; gives its base URL once it answers, and ends it."""
    url = f"http://127.0.0.1:{port}/v1"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while True:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            try:
                probe(Endpoint("x", url))
                break
            except EndpointError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := why_not():
        pytest.skip(reason)
    file = tmp_path_factory.mktemp("gguf") / "starter-F16.gguf"
    exported(starter_folder(), file, "f16")
    port = free_port()
    yield from answering([sys.executable, "-c", LLAMA_SERVER, str(file), str(port)], port)


def test_llama_server_is_known_streams_counts_and_goes_on(llama_server: str) -> None:
    endpoint = known_endpoint(Endpoint("llama", llama_server))
    assert endpoint.kind == "llama-server" and endpoint.context == 1024
    client = ChatClient(endpoint)
    answer = client.ask(ASK, GREEDY)
    assert answer.text.startswith("GPTQ is") and answer.finish_reason == "length"
    assert answer.usage["completion_tokens"] == 24 and (answer.tokens_per_second or 0) > 1
    assert client.count_tokens("What is GPTQ?") in range(3, 15)
    more = "".join(delta.text for delta in client.stream([*ASK, Message("assistant", answer.text)], GREEDY, go_on=True))
    whole = client.ask(ASK, Parameters(temperature=0.0, max_tokens=40)).text
    assert whole.startswith(answer.text) and more and (answer.text + more).startswith(whole[: len(answer.text) + 10])


def test_llama_server_is_stopped_in_the_middle(llama_server: str) -> None:
    stop = threading.Event()
    pieces = []
    for delta in ChatClient(Endpoint("llama", llama_server)).stream(ASK, Parameters(max_tokens=900), stop):
        pieces.append(delta)
        stop.set()
    assert len(pieces) < 5


def test_llama_server_refuses_with_words_what_does_not_fit(llama_server: str) -> None:
    with pytest.raises(EndpointError, match=r"context|exceed|long"):
        ChatClient(Endpoint("llama", llama_server)).ask([Message("user", "word " * 3000)], GREEDY)


@pytest.mark.skipif(
    not (find_spec("fastapi") and find_spec("uvicorn")), reason="transformers serve needs fastapi and uvicorn"
)
def test_transformers_serve_answers_too(until: Callable[..., object], tmp_path: Path) -> None:
    port = free_port()
    words = ["-c", "from transformers.cli.transformers import main; main()", "serve", "--port", str(port)]
    for url in answering([sys.executable, *words, "--device", "cpu"], port):
        endpoint = known_endpoint(Endpoint("t", url, str(starter_folder())))
        assert endpoint.kind == "transformers"
        answer = ChatClient(endpoint).ask(ASK, GREEDY)
        assert answer.text.startswith("GPTQ is")
