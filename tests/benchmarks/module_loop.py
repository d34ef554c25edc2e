"""Families without a hand-written pass: our loop over transformers' own modules against ``generate``, token for token.

    python tests/benchmarks/module_loop.py [--layers 12] [--width 512] [--tokens 32] [--repeat 4]

One thread and its CPU seconds, random weights; both write the same tokens and take turns. Our loop multiplies as a
host would on this machine. Weights are float32; ``--bfloat16`` stores them in 16 bits, as checkpoints do, and
``generate`` computes in float32, which is its faster way on a CPU without bfloat16 arithmetic.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from tests.workers.tiny_models import tiny_model
from tui.workers.host.compiled.library import open_library
from tui.workers.host.decoding import Decoder
from tui.workers.host.fp16_linear import pack_linears
from tui.workers.host.sampling import Choice, Sampler

FAMILIES = ("gemma2", "gpt2", "opt", "gpt_neox")
PROMPT = list(range(5, 69))


def model_of(family: str, layers: int, width: int) -> Any:
    """A float32 model that no token of ``PROMPT`` ends."""
    more: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": width // 8,
    }
    if family == "opt":
        more |= {"ffn_dim": 4 * width, "word_embed_proj_dim": width}
    if family == "gpt2":
        more |= {"n_embd": width, "n_layer": layers, "n_head": 8}
    return tiny_model(family, **more)


def by_generate(model: Any, tokens: int) -> tuple[float, list[int]]:
    """CPU seconds for a token behind the first, and the tokens."""
    batch, seconds, found = torch.tensor([PROMPT]), [], []
    for count in (1, tokens):
        started = time.thread_time()
        with torch.inference_mode():
            written = model.generate(
                batch,
                attention_mask=torch.ones_like(batch),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                pad_token_id=0,
            )
        seconds.append(time.thread_time() - started)
        found = written[0, len(PROMPT) :].tolist()
    return (seconds[1] - seconds[0]) / (tokens - 1), found


def by_loop(decoder: Decoder, tokens: int) -> tuple[float, list[int]]:
    """The same of our loop."""
    decoder.shelf.clear()
    found: list[int] = []
    started = 0.0
    sampler = Sampler(Choice(temperature=0, logit_bias={2: -1e9}), PROMPT)
    for token in decoder.tokens(PROMPT, sampler, lambda: False, lambda _: None):
        found.append(token)
        started = started or time.thread_time()
        if len(found) == tokens:
            break
    return (time.thread_time() - started) / (tokens - 1), found


def main() -> None:
    """Read the command line and print a line for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("layers", 12), ("width", 512), ("tokens", 32), ("repeat", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--family", nargs="*", choices=FAMILIES, default=FAMILIES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        kind = "float16" if open_library(Path(folder)) else "compiled"
        for family in arguments.family:
            model = model_of(family, arguments.layers, arguments.width)
            if arguments.bfloat16:
                model = model.bfloat16()
            ours = deepcopy(model)
            if arguments.bfloat16 or kind == "compiled":
                pack_linears(ours, threading.Event(), lambda *_: None, kind)
            model = model.float()
            decoder, best = Decoder(ours, 250), [9e9, 9e9]
            for _ in range(arguments.repeat):
                for place, (seconds, _) in enumerate(
                    runs := (by_loop(decoder, arguments.tokens), by_generate(model, arguments.tokens))
                ):
                    best[place] = min(best[place], seconds)
            same = sum(left == right for left, right in zip(runs[0][1], runs[1][1], strict=True))
            print(
                f"{family:10s} ours {1e3 * best[0]:6.2f} ms a token, generate {1e3 * best[1]:6.2f} ms"
                f" ({best[1] / best[0]:.2f}x), {same} of {arguments.tokens} tokens the same",
                flush=True,
            )


if __name__ == "__main__":
    main()
