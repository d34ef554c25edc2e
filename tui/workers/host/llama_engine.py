"""The engine that is llama.cpp: GGUF builds, behind the same desk and protocol as our own loop.

Stop strings, thinking, limits of a request and the order of requests stay the host's; llama.cpp reads tokens, keeps
its cache between turns, draws and ends. Its answers come through a callback on a thread of their own, because it works
inside one long call.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import unicodedata
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tui.catalog.gguf_header import DamagedGgufError, GgufHeader, read_gguf_header
from tui.catalog.provenance import read_provenance
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError
from tui.workers.environment import free_cores
from tui.workers.host.chat_template import ChatTemplate
from tui.workers.host.engine import BrokenOff, Written
from tui.workers.host.prompt import PLAIN_STOPS, plain_text_of
from tui.workers.host.request import RefusedError, Request
from tui.workers.host.sampling import Choice, choice_for
from tui.workers.host.text_stream import END_THINK, THINK, Chance
from tui.workers.llama_cpp import LlamaCpp, own_address
from tui.workers.reporter import Reporter

DEFAULT_CONTEXT = 8192
"""Tokens where nobody asks for a number: llama.cpp takes the memory of the whole context when it loads."""
_CONTROL = 3
_NORMALIZED = {"qwen2": "NFC", "qwen35": "NFC"}
"""Families whose own tokenizer normalizes a text before cutting it, which llama.cpp does not."""
_LOOK_SECONDS = 0.05


class LlamaEngine:
    """A GGUF build that is loaded."""

    name = "llama.cpp"
    tells_chances = True

    def __init__(self, llama: LlamaCpp, header: GgufHeader, folder: Path, context: int, device: str) -> None:
        self._llama = llama
        self._vocabulary: list[str] = header.fields.get("tokenizer.ggml.tokens") or []
        self._generation = _generation(folder)
        kinds: list[int] = header.fields.get("tokenizer.ggml.token_type") or []
        self._normalizes = _normalizes(folder, header)
        source = str(header.fields.get("tokenizer.chat_template") or "")
        self.has_template = bool(source)
        self.may_think = THINK in source or THINK in self._vocabulary
        marks = [token for token, kind in zip(self._vocabulary, kinds, strict=False) if kind == _CONTROL]
        self._template = ChatTemplate(source, marks, self._names(header)) if source else None
        self.device, self.context = device, context
        self.dtype = _kind(header)
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.cached_tokens = 0
        self._cache_bytes = _cache_bytes(header, context)

    def ids(self, request: Request) -> list[int]:
        """The prompt's token ids; raises ``RefusedError``."""
        if request.messages is not None and self._template is not None:
            pieces = self._template.render(request.messages, request.template_arguments, request.go_on)
            ids = [token for text, trusted in pieces for token in self._tokens(text, special=trusted)]
        elif request.messages is not None:
            ids = self._tokens(plain_text_of(request.messages, request.go_on), frame=True)
        elif isinstance(request.prompt, str):
            ids = self._tokens(request.prompt, special=True, frame=True)
        else:
            ids = list(request.prompt or ())
            if max(ids) >= len(self._vocabulary):
                raise RefusedError(400, f"prompt holds token {max(ids)}, the vocabulary ends before", param="prompt")
        if not ids:
            raise RefusedError(400, "the prompt is empty", param="messages" if request.is_chat else "prompt")
        return ids

    def stops(self, request: Request) -> tuple[str, ...]:
        """The texts that end this answer."""
        return request.stop + (PLAIN_STOPS if request.is_chat and not self.has_template else ())

    def begins_thinking(self, ids: Sequence[int]) -> bool:
        """Whether the template has opened the thinking itself."""
        if not self.may_think:
            return False
        end = "".join(self._vocabulary[token] for token in ids[-8:]).replace("Ċ", "\n").rstrip()
        return end.endswith(THINK) and END_THINK not in end

    def write(
        self, request: Request, ids: Sequence[int], unwanted: Callable[[], bool], read: Callable[[int], None]
    ) -> Generator[Written, None, None]:
        """Let llama.cpp answer; breaks off between two tokens, or between two batches of the prompt."""
        room = self.context - len(ids)
        body = _body(choice_for(request.sampling, self._generation), ids, min(request.max_tokens or room, room))
        if request.logprobs is not None:
            body["logprobs"] = max(1, request.logprobs)
        answer = _Answer(self._llama, body, unwanted)
        written = 0
        try:
            for chunk in answer.chunks():
                progress = chunk.get("prompt_progress")
                if progress:
                    read(max(int(progress["cache"]), int(progress["processed"])))
                    continue
                choice = chunk["choices"][0]
                count = int((chunk.get("timings") or {}).get("predicted_n") or written)
                self.cached_tokens = len(ids) + max(0, count - 1)
                reason = choice.get("finish_reason") or ""
                yield Written(
                    choice.get("text") or "",
                    max(0, count - written),
                    "" if not reason else _reason(reason),
                    _chances(choice.get("logprobs"), request.logprobs or 0),
                )
                written = max(written, count)
        finally:
            answer.close()

    def warm_up(self) -> None:
        """llama.cpp has warmed up when it was loaded."""

    def tune(self, unwanted: Callable[[], bool]) -> None:
        """The library has nothing to find out."""

    def recover(self) -> None:
        """llama.cpp keeps its own cache true."""
        self.cached_tokens = 0

    def memory(self) -> dict[str, int]:
        """Bytes of the cache, which is taken whole when the model is loaded."""
        return {"kv_cache": self._cache_bytes}

    def close(self) -> None:
        """Unload."""
        self._llama.close()

    def _tokens(self, text: str, *, special: bool = False, frame: bool = False) -> list[int]:
        if self._normalizes == "NFC":
            text = unicodedata.normalize("NFC", text)
        return self._llama.tokens(text, special=special, frame=frame) if text or frame else []

    def _names(self, header: GgufHeader) -> dict[str, str]:
        names = {}
        for name, key in (
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("pad_token", "padding"),
            ("unk_token", "unknown"),
        ):
            index = header.fields.get(f"tokenizer.ggml.{key}_token_id")
            names[name] = self._vocabulary[index] if isinstance(index, int) and index < len(self._vocabulary) else ""
        return names


class _Answer:
    """One answer of llama.cpp on a thread of its own."""

    def __init__(self, llama: LlamaCpp, body: dict[str, Any], unwanted: Callable[[], bool]) -> None:
        self._llama, self._body, self._unwanted = llama, body, unwanted
        self._came: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
        self._broken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llama.cpp", daemon=True)
        self._thread.start()

    def chunks(self) -> Generator[dict[str, Any], None, None]:
        """What comes; raises ``BrokenOff`` when the answer is not wanted any more, else what the library raised."""
        while True:
            if self._unwanted():
                raise BrokenOff
            try:
                item = self._came.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if item.get("choices"):
                yield item

    def close(self) -> None:
        """Break off and wait until the library is free for the next answer."""
        self._broken.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._llama.complete(self._body, self._heard)
        except BaseException as error:
            self._came.put(error)
        self._came.put(None)

    def _heard(self, chunk: dict[str, Any]) -> bool:
        self._came.put(chunk)
        return self._broken.is_set() or self._unwanted()


def open_gguf(reporter: Reporter, folder: Path, context: int | None) -> LlamaEngine:
    """Load the GGUF build in ``folder``; raises ``BuildBrokenError`` or ``HeftError`` with what to do."""
    started = time.monotonic()
    file = (folder.parent if folder.is_file() else folder) / weight_files(folder)[0]
    folder = file.parent
    try:
        header = read_gguf_header(file, ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"))
    except (OSError, DamagedGgufError) as error:
        raise BuildBrokenError(f"{file.name} cannot be loaded: {error}", "download or export it again") from error
    reporter.progress(0, file.stat().st_size, "B", "loading into llama.cpp")
    trained = int(header.fact("context_length") or DEFAULT_CONTEXT)
    chosen = min(context or DEFAULT_CONTEXT, trained)
    address = own_address(reporter.paths, reporter.job.id)
    llama = LlamaCpp(file, address, context=chosen, threads=free_cores())
    engine = LlamaEngine(llama, header, folder, chosen, "cpu")
    engine.seconds["weights"] = round(time.monotonic() - started, 3)
    if context and context > trained:
        engine.notes.append(f"the model reads {trained} tokens at most; {context} were asked for")
    elif chosen < trained and not context:
        engine.notes.append(f"context {chosen} of {trained}; --context asks for more, and takes the memory at once")
    reporter.progress(file.stat().st_size, file.stat().st_size, "B", "ready")
    return engine


def _body(choice: Choice, ids: Sequence[int], limit: int) -> dict[str, Any]:
    return {
        "prompt": list(ids),
        "max_tokens": limit,
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        "cache_prompt": True,
        "seed": choice.seed % 0xFFFF_FFFF,  # that number asks for a random seed
        "temperature": choice.temperature,
        "top_p": choice.top_p,
        "top_k": choice.top_k,
        "min_p": choice.min_p,
        "repeat_penalty": choice.repetition_penalty,
        "frequency_penalty": choice.frequency_penalty,
        "presence_penalty": choice.presence_penalty,
        "repeat_last_n": len(ids) + limit,
        "logit_bias": [[token, amount] for token, amount in choice.logit_bias.items()],
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
    }


def _chances(told: Any, others: int) -> tuple[Chance, ...]:
    """The tokens of one chunk with their chances; the one that ends the turn has no text and is not told."""
    rows = (told or {}).get("content") or ()
    return tuple(
        Chance(
            str(row["token"]),
            float(row["logprob"]),
            tuple((str(other["token"]), float(other["logprob"])) for other in row["top_logprobs"][:others]),
        )
        for row in rows
        if row["token"]
    )


def _reason(reason: str) -> str:
    return "stop" if reason == "stop" else "length"


def _kind(header: GgufHeader) -> str:
    """The block type that most of the quantized weights have; else the type of most weights."""
    sizes = header.bytes_by_type
    sizes = {kind: size for kind, size in sizes.items() if kind not in ("F32", "F16", "BF16")} or sizes
    return max(sizes, key=sizes.__getitem__, default="")


def _normalizes(folder: Path, header: GgufHeader) -> str:
    said = (read_provenance(folder).get("export") or {}).get("normalizes")
    return str(said) if said is not None else _NORMALIZED.get(str(header.fields.get("tokenizer.ggml.pre")), "")


def _generation(folder: Path) -> Any:
    try:
        table = json.loads((folder / "generation_config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return SimpleNamespace(**table) if isinstance(table, dict) else None


def _cache_bytes(header: GgufHeader, context: int) -> int:
    """Float16 keys and values of all layers for ``context`` tokens."""
    heads = header.fact("attention.head_count") or 1
    shared = header.fact("attention.head_count_kv") or heads
    width = int(header.fact("embedding_length") or 0) // (heads if isinstance(heads, int) else max(heads))
    sizes = int(header.fact("attention.key_length") or width) + int(header.fact("attention.value_length") or width)
    layers = int(header.fact("block_count") or 0)
    total = sum(shared) if isinstance(shared, list) else layers * int(shared)
    return total * sizes * 2 * context
