"""Our decode loop against ``model.generate`` and llama.cpp, on the same weights and in the same run.

    python tests/benchmarks/chat_engine.py [--shape starter|135m|1.1b] [--threads 2] [--tokens 32] [--repeat 3]

Prints tokens/s written and read, and beside each how far its logits are from float32's (largest difference as a share
of their spread) and how often its likeliest token is the same; then the time to the first token of the fifth turn of a
2,000-token chat, with and without the caches. The ways take turns, and the best run of each counts, because a shared
machine slows single runs at random. With ``--threads 1`` all seconds are CPU seconds of the one thread, which other
programs hardly change. ``--cold`` starts a real host instead and tells where the time to its first token goes.
Weights are random (but the starter's), which makes answers flat: agreement there is a lower bound for real models.
They have values of the type ``--stored``, bfloat16 as in most checkpoints, which float16 and float32 hold too. Beside a
speed stands how fast it takes weights from memory, and which share that is of what this machine gives the same threads.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from tui.starter import starter_folder
from tui.workers.host.compiled.library import open_library
from tui.workers.host.compiled.steps import compiled_steps
from tui.workers.host.decoding import Decoder
from tui.workers.host.fp16_linear import pack_linears
from tui.workers.host.sampling import Choice, Sampler
from tui.workers.host.taking_apart import take_apart

CLOCK = time.perf_counter
CONTEXT = 4096
GREEDY = Choice(temperature=0)
PROBES = 24
SHAPES: dict[str, dict[str, Any]] = {
    "135m": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "1.1b": {
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    },
}
Speeds = Callable[[Sequence[int], int], tuple[float, float]]


STORED_BITS = {"bfloat16": 12, "float16": 16, "float32": 28}
"""What the compiled products read of a weight of each type."""


def build_model(shape: str, layers: int = 0, stored: str = "bfloat16") -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if shape == "starter":
        return AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32).eval()
    torch.manual_seed(0)
    with torch.device("meta"):
        values = {**SHAPES[shape], **({"num_hidden_layers": layers} if layers else {})}
        model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=CONTEXT, **values))
    model = model.to_empty(device="cpu")
    for parameter in model.parameters():  # but for float32, values that 16 bits hold: every way has the same weights
        values = torch.empty(parameter.shape).normal_(0, 0.03).to(getattr(torch, stored))
        values = values if stored == "float32" else values.half().float()
        parameter.data = values if parameter.dim() > 1 else torch.ones(parameter.shape)
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.tie_weights()
    return model.eval()


def by_generate(model: Any) -> Speeds:
    def speeds(prompt: Sequence[int], tokens: int) -> tuple[float, float]:
        batch = torch.tensor([list(prompt)])
        seconds = []
        for count in (1, tokens):
            started = CLOCK()
            with torch.inference_mode():
                model.generate(
                    batch,
                    attention_mask=torch.ones_like(batch),
                    max_new_tokens=count,
                    min_new_tokens=count,
                    do_sample=False,
                    pad_token_id=0,
                )
            seconds.append(CLOCK() - started)
        return len(prompt) / seconds[0], (tokens - 1) / max(1e-9, seconds[1] - seconds[0])

    return speeds


def by_loop(decoder: Decoder) -> Speeds:
    def speeds(prompt: Sequence[int], tokens: int) -> tuple[float, float]:
        decoder.shelf.clear()
        started = CLOCK()
        first = 0.0
        answer = decoder.tokens(prompt, Sampler(GREEDY, prompt), lambda: False, lambda _: None)
        for count, _ in enumerate(answer, 1):
            first = first or CLOCK() - started
            if count == tokens:
                break
        return len(prompt) / first, (tokens - 1) / (CLOCK() - started - first)

    return speeds


def weights_read(model: Any) -> int:
    """The weights that one token needs all of: those of the matrices, but of embeddings only as a head."""
    inside = sum(each.numel() for each in model.model.layers.parameters() if each.dim() > 1)
    return inside + model.lm_head.weight.numel()


def memory_speed() -> float:
    """Bytes per second that this machine's memory gives a plain sum over 512 MB, with the threads of now."""
    values, best = torch.ones(1 << 27), 0.0
    for _ in range(8):
        started = CLOCK()
        values.sum()
        best = max(best, 4 * len(values) / (CLOCK() - started))
    return best


def apart(model: Any, kind: str, folder: Path, stored: str) -> Any:
    """The model in parts as a host runs it; ``folder`` takes what is compiled."""
    if kind != "compiled":
        return take_apart(deepcopy(model), kind, lambda: False, lambda *_: None)
    if reason := open_library(folder):
        sys.exit(f"the compiled way cannot be measured: {reason}")
    halves = deepcopy(model).to(getattr(torch, stored))
    halves.model.rotary_emb = deepcopy(model.model.rotary_emb)  # as loading leaves it
    taken = take_apart(halves, kind, lambda: False, lambda *_: None)
    taken.recorded = compiled_steps(taken)
    assert taken.recorded is not None
    return taken


def by_llama_cpp(model: Any, kind: str, threads: int, stack: contextlib.ExitStack) -> Any:
    from tests.benchmarks.llama_cpp_peer import LlamaCppPeer, write_gguf

    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"{kind}.gguf"
    write_gguf(model, file, kind)
    return LlamaCppPeer(file, threads, CONTEXT)


def logits_of(decoder: Decoder, prompt: Sequence[int]) -> list[Any]:
    """The logits at the last positions of ``prompt``, read token by token as while writing."""
    cache = decoder.model.new_cache()
    found = []
    with torch.inference_mode():
        decoder.model.read(list(prompt[:-PROBES]), cache, lambda: None)
        for token in prompt[-PROBES:]:
            found.append(decoder.model.read([token], cache, lambda: None).float())
    return found


def compared(found: Sequence[Any], exact: Sequence[Any]) -> str:
    error = max(
        float((mine - true).abs().max() / (true.max() - true.min())) for mine, true in zip(found, exact, strict=True)
    )
    return f"logits within {100 * error:7.4f} %   same token {agreement(found, exact)}"


def agreement(found: Sequence[Any], exact: Sequence[Any]) -> str:
    same = sum(int(mine.argmax()) == int(true.argmax()) for mine, true in zip(found, exact, strict=True))
    return f"{same}/{len(exact)}"


def measure(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    model = build_model(arguments.shape, arguments.layers, arguments.stored)
    size = model.config.vocab_size
    prompt = torch.randint(300, size - 1, (arguments.prompt,), generator=torch.Generator().manual_seed(1)).tolist()
    ways: dict[str, Speeds] = {}
    bits = {"generate bfloat16": 16.0, "our loop, by hand, int8": 8, "llama.cpp Q8_0": 8.5, "llama.cpp Q4_0": 4.5}
    bits |= dict.fromkeys(("llama.cpp F16", "our loop, by hand, float16", "our loop, by hand, bfloat16"), 16)
    bits["our loop, by hand, compiled"] = bits["our loop, modules, packed"] = STORED_BITS[arguments.stored]
    quality: dict[str, str] = {}
    exact = logits_of(Decoder(model, CONTEXT), prompt)
    ways["generate float32"] = by_generate(model)
    ways["our loop, modules, float32"] = by_loop(Decoder(model, CONTEXT))
    if "bf16" in arguments.ways:
        half = deepcopy(model).bfloat16()
        ways["generate bfloat16"] = by_generate(half)
        quality["generate bfloat16"] = compared(logits_of(Decoder(half, CONTEXT), prompt), exact)
    for kind in ("float32", "float16", "compiled", "bfloat16", "int8"):
        if kind in arguments.ways:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            decoder = Decoder(apart(model, kind, folder, arguments.stored), CONTEXT)
            ways[f"our loop, by hand, {kind}"] = by_loop(decoder)
            quality[f"our loop, by hand, {kind}"] = compared(logits_of(decoder, prompt), exact)
    if "packed" in arguments.ways:
        packed = deepcopy(model)
        kind = "float16" if open_library(Path(stack.enter_context(tempfile.TemporaryDirectory()))) else "compiled"
        pack_linears(packed, threading.Event(), lambda *_: None, kind)
        ways["our loop, modules, packed"] = by_loop(Decoder(packed, CONTEXT))
    gc.collect()
    for kind in ("F16", "Q8_0", "Q4_0"):
        if kind in arguments.ways:
            peer = by_llama_cpp(model, kind, arguments.threads, stack)
            ways[f"llama.cpp {kind}"] = peer.speeds
            chosen = [peer.next_token(prompt[: len(prompt) - PROBES + place + 1]) for place in range(PROBES)]
            same = sum(token == int(true.argmax()) for token, true in zip(chosen, exact, strict=True))
            quality[f"llama.cpp {kind}"] = f"{'':24s}   same token {same}/{PROBES}"
    best: dict[str, tuple[float, float]] = {}
    for _ in range(arguments.repeat):
        for name, speeds in ways.items():
            read, written = speeds(prompt, arguments.tokens)
            old = best.get(name, (0.0, 0.0))
            best[name] = (max(old[0], read), max(old[1], written))
    part = f" (the first {arguments.layers} layers of it)" if arguments.layers else ""
    print(
        f"\n{arguments.shape}{part}: {len(prompt)} tokens read, {arguments.tokens} written, {arguments.threads} threads"
    )
    base, memory, weights = best["generate float32"], memory_speed(), weights_read(model)
    print(f"  {weights / 1e6:.0f} million weights for a token, memory gives {memory / 1e9:.1f} GB/s")
    for name, (read, written) in sorted(best.items(), key=lambda item: -item[1][1]):
        taken = written * weights * bits.get(name, 32) / 8
        print(
            f"  {name:28s} writes {written:7.1f} tok/s ({written / base[1]:4.2f}x, {taken / 1e9:4.1f} GB/s,"
            f" {taken / memory:4.0%})   reads {read:7.0f} tok/s ({read / base[0]:4.2f}x)   {quality.get(name, '')}"
        )


def measure_turns(shape: str, layers: int = 0) -> None:
    """Time to the first token of the fifth turn of a chat, 2,000 tokens long by then."""
    decoder = Decoder(take_apart(build_model(shape, layers), "float16", lambda: False, lambda *_: None), CONTEXT)
    size = decoder.model.config.vocab_size
    turn = [
        torch.randint(300, size - 1, (360,), generator=torch.Generator().manual_seed(place)).tolist()
        for place in range(5)
    ]
    seconds = {}
    for reuse in (True, False):
        decoder.shelf.clear()
        text: list[int] = []
        for place in range(5):
            text = text + (turn[place] if place < 4 else turn[place][:40])
            if place == 4 and not reuse:
                decoder.shelf.clear()
            elif place < 4 and not reuse:
                text += turn[place][:40]
                continue
            started, answer = CLOCK(), []
            for token in decoder.tokens(text, Sampler(GREEDY, text), lambda: False, lambda _: None):
                answer.append(token)
                if place == 4 or len(answer) == 40:
                    break
            seconds[reuse] = CLOCK() - started
            text = text + answer
    print(
        f"\n{shape}: first token of turn 5 after {4 * 400} tokens and 40 new ones: {seconds[False]:.3f} s read anew,"
        f" {seconds[True]:.3f} s with the caches ({seconds[False] / seconds[True]:.0f}x)"
    )


def measure_cold() -> None:
    """From the start of a host's process to the first token of its first answer, with the starter."""
    from tests.workers.test_serve_host import Hosted
    from tui.chat.conversation import Message, Parameters

    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("first", "second"):  # the second finds the measured way of multiplying
            started = time.perf_counter()
            hosted = Hosted(Path(folder) / "heft", starter_folder()).wait()
            ready = time.perf_counter() - started
            try:
                parts = hosted.client.stream(
                    [Message("user", "What is GPTQ?")], Parameters(temperature=0, max_tokens=2)
                )
                next(part for part in parts if part.text)
                first = time.perf_counter() - started
                told = ", ".join(f"{name} {value:.2f} s" for name, value in hosted.result["load_parts"].items())
                print(f"{attempt} cold start: first token after {first:.2f} s, ready after {ready:.2f} s; {told}")
            finally:
                hosted.work.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["starter", *SHAPES], default="starter")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ways", default="bf16,float32,float16,compiled,bfloat16,int8,packed,F16,Q8_0,Q4_0")
    parser.add_argument("--layers", type=int, default=0, help="so many layers of a shape, where memory is short")
    parser.add_argument("--stored", choices=STORED_BITS, default="bfloat16", help="type of the weights' values")
    parser.add_argument("--turns", action="store_true", help="only the fifth turn")
    parser.add_argument("--cold", action="store_true", help="only the cold start of a host")
    arguments = parser.parse_args()
    if arguments.cold:
        return measure_cold()
    global CLOCK
    CLOCK = time.thread_time if arguments.threads == 1 else time.perf_counter
    torch.set_num_threads(arguments.threads)
    if not arguments.turns:
        with contextlib.ExitStack() as stack:
            measure(arguments, stack)
    measure_turns(arguments.shape, arguments.layers)
    return None


if __name__ == "__main__":
    main()
