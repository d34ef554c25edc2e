"""From the start of a process to the first token of its first answer: our host beside bare scripts, on the starter.

    python tests/benchmarks/cold_start.py [--repeat 3]

``heft`` is a real host, asked over its socket as soon as it is ready; ``first load`` finds nothing that a load keeps
(facts of the folder, step.c, ways of multiplying). ``transformers`` is a script that loads tokenizer and model with
``from_pretrained`` and writes one token with ``generate``; ``llama.cpp`` one that loads the GGUF export of the same
weights with the library. All find their files in the page cache, and take turns. Wall seconds and CPU seconds, the
best of each.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.workers.test_serve_host import Hosted
from tui.starter import starter_folder

QUESTION = "What is GPTQ?"
TRANSFORMERS = f"""
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
chat = [{{"role": "user", "content": {QUESTION!r}}}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
written = model.generate(**ids, max_new_tokens=1, do_sample=False)
print(tokenizer.decode(written[0, -1:]))
"""
LLAMA_CPP = f"""
import sys
from pathlib import Path
from tui.workers.llama_cpp import LlamaCpp
engine = LlamaCpp(Path(sys.argv[1]), Path(sys.argv[2]), context=1024, threads=2)
ids = engine.tokens("<|begin|><|user|>{QUESTION}<|end|><|assistant|>", special=True)
said = []
engine.complete({{"prompt": ids, "max_tokens": 1, "stream": True}}, lambda chunk: said.append(chunk) and False)
print(said[0]["choices"][0]["text"])
"""


def by_host(home: Path, engine: str = "transformers") -> tuple[float, float, str]:
    """Wall and CPU seconds of a host until it has answered with one token, and that token."""
    started, before = time.perf_counter(), cpu_seconds()
    hosted = Hosted(home, starter_folder(), engine=engine).wait()
    try:
        said = hosted.chat(QUESTION, max_tokens=1)[1]["choices"][0]["message"]["content"]
        wall = time.perf_counter() - started
    finally:
        hosted.process.terminate()
        hosted.process.wait()
        hosted.work.close()
    return wall, cpu_seconds() - before, said


def by_script(code: str, *words: str) -> tuple[float, float, str]:
    """The same of a script."""
    started, before = time.perf_counter(), cpu_seconds()
    command, here = [sys.executable, "-c", code, *words], Path(__file__).parents[2]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here)
    return time.perf_counter() - started, cpu_seconds() - before, ended.stdout.splitlines()[-1]


def cpu_seconds() -> float:
    """CPU seconds of the processes that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "heft"
        by_host(kept)
        by_host(kept, "llama.cpp")
        gguf = next(kept.rglob("*.gguf"))
        places = iter(range(1000))
        ways: dict[str, Callable[[], tuple[float, float, str]]] = {
            "heft": lambda: by_host(kept),
            "heft, first load": lambda: by_host(Path(place) / f"heft-{next(places)}"),
            "heft, in llama.cpp": lambda: by_host(kept, "llama.cpp"),
            "transformers": lambda: by_script(TRANSFORMERS, str(starter_folder())),
            "llama.cpp": lambda: by_script(LLAMA_CPP, str(gguf), str(Path(place) / "l.sock")),
        }
        found: dict[str, list[tuple[float, float, str]]] = {name: [] for name in ways}
        for _ in range(arguments.repeat):
            for name, way in ways.items():
                found[name].append(way())
    for name, runs in found.items():
        walls, used = ([run[part] for run in runs] for part in (0, 1))
        print(f"{name:20s} {min(walls):6.2f} s, {min(used):5.2f} CPU seconds   {runs[0][2]!r}")


if __name__ == "__main__":
    main()
