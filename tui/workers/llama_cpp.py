"""llama.cpp in this process, through xllamacpp, with everything closed that it leaves open. Nobody else imports it.

It always starts a web server of its own, on a TCP port without a key for every origin; here it gets a Unix socket in a
private folder and a key that nobody else knows, and is asked for tokens alone. An exception in its callback would be
swallowed, so none leaves it. Its wheel is built for AVX2: without that the process would die of SIGILL on import.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tui.errors import BuildBrokenError, HeftError
from tui.hardware.host_probe import llama_cpp_lacks
from tui.paths import Paths

STEPS = ((300_000_000, 128), (1_500_000_000, 64))
SMALLEST_STEP = 32
"""Tokens of a prompt that are read in one step, by the bytes of the weights: a wish to stop is heard between two."""
ONE_CORE_BYTES = 64_000_000
"""Weights of so many bytes are read by one core in a few milliseconds; a second one would mostly wait."""
CACHE_MEGABYTES = 256
"""RAM for the states of other conversations; the library would take 8 GB."""
_ANSWER_SECONDS = 60.0


def why_not() -> str:
    """Why llama.cpp cannot run here; empty where it can."""
    try:
        version("xllamacpp")
    except PackageNotFoundError:
        return "xllamacpp is not installed"
    missing = llama_cpp_lacks()
    return f"this CPU lacks {', '.join(missing)}, for which llama.cpp is built" if missing else ""


def own_address(paths: Paths, job_id: int) -> Path:
    """Where llama.cpp's own server listens for a job: beside the host's socket, under a name that the library takes for
    a Unix socket."""
    host = paths.socket_path(job_id)
    return host.with_name("l" + host.name[1:])


@contextlib.contextmanager
def _ends_at_once() -> Iterator[None]:
    """Let SIGTERM end the process while a model loads: the library holds Python's lock all the time, so nothing that is
    written in Python could hear the signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class LlamaCpp:
    """One GGUF file that is loaded. ``light`` loads it only to be asked for tokens."""

    def __init__(
        self, file: Path, address: Path, *, context: int, threads: int, gpu: bool = False, light: bool = False
    ):
        reason = why_not()
        if reason:
            raise HeftError(
                f"GGUF builds cannot be loaded: {reason}", "pip install --upgrade heft-tui, or another machine"
            )
        import xllamacpp

        self._address, self._key, self._answered = address, secrets.token_urlsafe(32), False
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx = context
        size = file.stat().st_size
        params.n_batch = params.n_ubatch = next((step for limit, step in STEPS if size < limit), SMALLEST_STEP)
        params.n_parallel = 1
        params.n_gpu_layers = -1 if gpu else 0
        params.cache_ram_mib = 0 if light else CACHE_MEGABYTES
        params.ctx_shift = False
        params.fit_params = False
        params.warmup = not light
        params.no_extra_bufts = light
        params.verbosity = 0
        params.offline = True
        params.hostnames = [str(address)]
        params.api_keys = [self._key]
        params.cors_origins = ""
        params.cors_credentials = False
        params.ui = False
        params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
        params.n_threads_http = 2
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = 1 if size < ONE_CORE_BYTES else threads
            cpu.poll = 0  # waiting threads sleep: the machine is shared
        with contextlib.suppress(FileNotFoundError):
            address.unlink()  # the library leaves its socket behind, and cannot bind where one lies
        try:
            with _ends_at_once():
                self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise BuildBrokenError(
                f"llama.cpp cannot load {file.name}: {error}",
                "it may be damaged, of an architecture that this llama.cpp does not know, or too large for the memory",
            ) from error

    def tokens(self, text: str, *, special: bool, frame: bool = False) -> list[int]:
        """Token ids of ``text``; ``special``: marks in it are read as special tokens, ``frame``: with the tokens that
        the model begins a text with. Any thread may ask."""
        answer = self._ask("/tokenize", {"content": text, "parse_special": special, "add_special": frame})
        return [int(token) for token in answer["tokens"]]

    def props(self) -> dict[str, Any]:
        """What the file says of itself: chat template, tokens for beginning and end, context."""
        return self._ask("/props")

    def model(self) -> dict[str, Any]:
        """Vocabulary size, trained context, bytes and parameters of the loaded file."""
        return dict(self._ask("/v1/models")["data"][0]["meta"])

    def complete(self, body: dict[str, Any], heard: Callable[[dict[str, Any]], bool]) -> None:
        """Answer a completion; ``heard`` gets every chunk and returns whether to break off. Blocks; raises
        ``HeftError`` for an error of the library."""
        problems: list[BaseException] = []

        def chunk(value: Any) -> bool:
            try:
                if isinstance(value, dict) and "error" in value:
                    problems.append(HeftError(str(value["error"].get("message") or value["error"])))
                    return True
                return bool(heard(value))
            except BaseException as error:  # the library would swallow it and go on
                problems.append(error)
                return True

        refused = self._server.handle_completions(body, chunk)
        self._answered = True
        if isinstance(refused, dict) and "error" in refused:
            problems.append(HeftError(str(refused["error"].get("message") or refused["error"])))
        if problems:
            raise problems[0]

    def log_probability(self, before: Sequence[int], token: int) -> float | None:
        """Natural logarithm of the probability of ``token`` after ``before``, from the model's own logits; None for a
        token that ends the text. The token is forced, because the library tells only of what it draws."""
        found: list[float] = []

        def heard(chunk: dict[str, Any]) -> bool:
            told = chunk["choices"][0].get("logprobs") if chunk.get("choices") else None
            if told and told["content"] and told["content"][0]["id"] == token:
                found.append(float(told["content"][0]["logprob"]))
            return False

        forced = {"logit_bias": [[token, 1e6]], "temperature": 0, "samplers": ["temperature"]}
        self.complete({"prompt": list(before), "max_tokens": 1, "stream": True, "logprobs": 1, **forced}, heard)
        return found[0] if found else None

    def close(self) -> None:
        """Unload the model and remove the socket."""
        if not self._answered:  # ended before its loop has begun, the library waits for that loop for ever
            with contextlib.suppress(HeftError):
                self.complete({"prompt": [0], "max_tokens": 1, "stream": True}, lambda chunk: False)
        self._server = None
        with contextlib.suppress(OSError):
            self._address.unlink()

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=_ANSWER_SECONDS)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_ANSWER_SECONDS)
            connection.sock.connect(str(self._address))
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body).encode()
            connection.request("GET" if body is None else "POST", path, data, headers)
            answer = connection.getresponse()
            value = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise HeftError(f"llama.cpp does not answer: {error}", "unload the model and load it again") from error
        finally:
            connection.close()
        if answer.status != 200 or not isinstance(value, dict):
            raise HeftError(f"llama.cpp refused {path}: {str(value)[:200]}")
        return value
