"""GPTQ at llama.cpp's speed: is it the same build, and how much faster is it?

    python tests/benchmarks/gguf_export.py [--shapes starter mid 1b] [--tokens 48] [--threads 2] [--rounds 3] [--bits 4]

1. Architectures: a tiny GPTQ checkpoint of each is exported; the largest difference of any block from the checkpoint,
   and how far llama.cpp's log probabilities are from transformers' with the same weights in float32 (that is the graph,
   the order of rows and the metadata) and in Q4_0 (llama.cpp rounds activations to 8 bits).
2. Perplexity of the starter's GPTQ builds on its held-out text, by the GPTQ kernel and by llama.cpp from the export.
3. Tokens per second of the same build in both engines, hosts of the same command asked in turn; best of the rounds.
   "mid" (152M) and "1b" (1.1B) have random weights in Llama's shape: they are about speed alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from tests.heft import Heft
from tests.workers.gguf_files import exported, next_logits
from tests.workers.gguf_models import OWN, SHAPE, gptq_folder, plain_folder

SHAPES = {
    "mid": {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 12, "num_attention_heads": 16},
    "1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
}


def distance(file: Path, model: Any, prompts: list[list[int]]) -> float:
    import torch

    with torch.inference_mode():
        wanted = np.array(
            [torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1).numpy() for prompt in prompts]
        )
    found = next_logits(file, prompts, 256, SHAPE["vocab_size"])
    rows = [(row, want) for row, want in zip(found, wanted, strict=True) if not np.isnan(row).any()]
    return max(float(np.linalg.norm(row - want) / np.linalg.norm(want - want.mean())) for row, want in rows)


def architectures(folder: Path) -> None:
    print("\narchitecture  quantized tensors  largest block difference  F32 file vs transformers  Q4_0 file")
    ids = np.random.default_rng(0).integers(6, SHAPE["vocab_size"], 40).tolist()
    prompts = [ids[:length] for length in (2, 7, 40)]
    for model_type in OWN:
        gptq, model = gptq_folder(folder / model_type, model_type)
        _, report = exported(gptq, folder / "q4.gguf")
        exported(plain_folder(folder / f"{model_type}-plain", model), folder / "f32.gguf", "f32")
        far = [distance(folder / name, model, prompts) for name in ("f32.gguf", "q4.gguf")]
        print(
            f"{model_type:13s} {report.packed:17d} {report.difference:25.1f} {far[0]:25.1e} {far[1]:10.1e}", flush=True
        )


def perplexities(heft: Heft) -> None:
    print("\nstarter build            perplexity: original  GPTQ kernel  llama.cpp  from the export     size")
    for bits, group in ((4, 128), (4, 32), (8, 128), (3, 128), (2, 128)):
        heft.json("quantize", "heft-starter", "--bits", str(bits), "--group-size", str(group), seconds=900)
        name = f"heft-starter-gptq-{bits}bit-g{group}"
        made = heft.json("export", name)["result"]
        before = next(build for build in heft.json("builds") if build["id"] == name)["quality"]
        after = heft.json("evaluate", made["build"], seconds=900)["result"]
        print(
            f"{name:32s} {before['perplexity_before']:12.4f} {before['perplexity_after']:12.4f}"
            f" {after['perplexity']:10.4f}  {made['type']}, difference {made['max_difference']:.1f}"
            f" {made['bytes'] / 1e6:8.2f} MB",
            flush=True,
        )


def random_build(heft: Heft, shape: str, bits: int) -> str:
    """A GPTQ build of random weights in the folder of builds."""
    name = f"random-{shape}-gptq-{bits}bit"
    size = {"max_position_embeddings": 2048, "head_dim": 64, "num_key_value_heads": 4, "tie_word_embeddings": True}
    gptq_folder(heft.home / "data/builds" / name, "llama", bits=bits, group=128, more={**size, **SHAPES[shape]})
    return name


def ask(path: str, prompt: list[int], tokens: int) -> tuple[float, float]:
    """Tokens per second of reading the prompt and of writing."""
    connection = http.client.HTTPConnection("localhost", timeout=600)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "logit_bias": {"2": -100}}
    connection.request("POST", "/v1/completions", json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    times, usage = answer["timings"], answer["usage"]
    read = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
    return read / times["prefill_seconds"], (usage["completion_tokens"] - 1) / times["decode_seconds"]


def ask_by_cpu(host: dict[str, Any], prompt: list[int], tokens: int) -> tuple[float, float]:
    """The same per CPU second of the host's process, which other programs on the machine hardly change."""

    def used() -> float:
        fields = Path(f"/proc/{host['pid']}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    ask(host["socket"], prompt, 2)
    between = used()
    ask(host["socket"], prompt, tokens)
    return len(prompt) / max(0.01, between - before), tokens / max(0.01, used() - between)


def speeds(heft: Heft, shape: str, arguments: argparse.Namespace) -> None:
    starter = f"heft-starter-gptq-{arguments.bits}bit-g128"
    build = starter if shape == "starter" else random_build(heft, shape, arguments.bits)
    random = np.random.default_rng(1)
    best: dict[str, tuple[float, float]] = {}
    loads = {}
    for engine in ("transformers", "llama.cpp"):
        host = heft.json("serve", build, "--engine", engine, "--context", "1024", seconds=900)
        loads[engine] = host["result"]["load_seconds"]
        heft.json("jobs", "cancel", str(host["id"]))
    for _ in range(arguments.rounds):
        for engine in ("transformers", "llama.cpp"):
            host = heft.json("serve", build, "--engine", engine, "--context", "1024", seconds=900)
            ask(host["result"]["socket"], random.integers(10, 2000, 8).tolist(), 4)
            prompt = random.integers(10, 2000, arguments.prompt).tolist()
            if arguments.cpu:
                prefill, decode = ask_by_cpu(host["result"], prompt, arguments.tokens)
            else:
                prefill, decode = ask(host["result"]["socket"], prompt, arguments.tokens)
            old = best.get(engine, (0.0, 0.0))
            best[engine] = (max(old[0], prefill), max(old[1], decode))
            heft.json("jobs", "cancel", str(host["id"]))
            time.sleep(0.5)
    for engine, (prefill, decode) in best.items():
        print(f"{shape:8s} {engine:13s} prefill {prefill:8.1f} tok/s   decode {decode:7.1f} tok/s", flush=True)
    gain = best["llama.cpp"][1] / best["transformers"][1]
    print(
        f"{shape:8s} llama.cpp writes {gain:.1f} times as fast; loaded in {loads['llama.cpp']:.1f} s (with the export)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="*", choices=["starter", *SHAPES], default=["starter", "mid"])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bits", type=int, choices=[2, 3, 4, 8], default=4, help="of the builds whose speed is taken")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="per CPU second of the host instead of wall clock")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="heft-gguf-"))
    heft = Heft(folder / "home", OMP_NUM_THREADS=str(arguments.threads))
    try:
        heft.json("pull", "heft-starter")
        if not arguments.speed_only:
            architectures(folder)
            perplexities(heft)
        elif "starter" in arguments.shapes:
            heft.json("quantize", "heft-starter", "--bits", str(arguments.bits), seconds=900)
        if not arguments.shapes:
            return
        clock = "CPU" if arguments.cpu else "wall"
        print(
            f"\nspeed per {clock} second, {arguments.threads} threads, {os.cpu_count()} cores,"
            f" prompt of {arguments.prompt} tokens:"
        )
        for shape in arguments.shapes:
            speeds(heft, shape, arguments)
    finally:
        heft.end_everything()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
