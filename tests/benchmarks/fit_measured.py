"""How near the fit estimate comes to what a host really takes on this machine's CPU.

The starter and eight architectures of 50 to 150 million parameters with random weights are saved, loaded by the host's
own loader and asked by its own loop, one fresh process each. Once loaded, the peak begins anew, as it does in a host.
Then a prompt and its answer fill the context, and the process tells its peak. The most that loading took for a moment
stands beside it.

    python tests/benchmarks/fit_measured.py [family or type...]

A row takes some 20 seconds; words choose rows, so that the whole can be run in parts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tui.catalog.build import Build
from tui.fit.memory_estimate import MemoryEstimate, estimate_build
from tui.fit.weights import weights_on_disk
from tui.quantities import bytes_text
from tui.starter import starter_folder

CONTEXT = 1024
COMMON = {"vocab_size": 16_384, "max_position_embeddings": 2048}
WIDE = {**COMMON, "hidden_size": 640, "num_attention_heads": 10, "num_hidden_layers": 12, "tie_word_embeddings": False}
FAMILIES = {
    "llama": {**WIDE, "intermediate_size": 1792, "num_key_value_heads": 10},
    "qwen2": {**WIDE, "intermediate_size": 1792, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "gemma2": {**WIDE, "intermediate_size": 1792, "num_key_value_heads": 5, "head_dim": 64, "sliding_window": 256,
               "query_pre_attn_scalar": 64, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 768, "n_layer": 8, "n_head": 12, "vocab_size": 16_384, "n_positions": 2048},
    "opt": {**COMMON, "hidden_size": 768, "word_embed_proj_dim": 768, "ffn_dim": 3072, "num_hidden_layers": 10,
            "num_attention_heads": 12},
    "phi3": {**WIDE, "intermediate_size": 1792, "num_key_value_heads": 5, "pad_token_id": 0},
    "gpt_neox": {**COMMON, "hidden_size": 640, "intermediate_size": 2560, "num_hidden_layers": 12,
                 "num_attention_heads": 10},
    "mixtral": {**COMMON, "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 6,
                "num_attention_heads": 8, "num_key_value_heads": 4, "num_local_experts": 8},
}  # fmt: skip

STARTER = "starter"
"""The smallest, of 4.7 million parameters, stored in float16: what a process takes as good as without a model."""
DTYPES = ("bfloat16", "float32")
"""Sixteen bits are laid out as the host finds fastest on this CPU; 32 bits stay as they are."""

BUILD = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
folder, name, values, dtype = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **values), dtype=getattr(torch, dtype))
model.save_pretrained(folder)
seen = set()
print(sum(p.numel() * p.element_size() for p in model.parameters() if id(p) not in seen and not seen.add(id(p))))
"""

LOAD = """
import json, re, sys, tempfile, threading
from pathlib import Path
from types import SimpleNamespace
import torch
from tui.paths import Paths
from tui.workers.host.loading import load
from tui.workers.host.torch_engine import TorchEngine
from tui.workers.memory_watch import forget_peak
folder, context = Path(sys.argv[1]), int(sys.argv[2])
reporter = SimpleNamespace(
    progress=lambda *_: None, check=lambda: None, stop=threading.Event(), job=SimpleNamespace(device="cpu", spec={}),
    paths=Paths.from_environment({"HEFT_HOME": tempfile.mkdtemp()}).prepare(),
)

def held():
    status, wanted = open("/proc/self/status").read(), ("VmHWM", "VmRSS", "RssFile")
    return {key: int(re.search(key + r":\\s+(\\d+)", status)[1]) * 1024 for key in wanted}

engine = TorchEngine(load(reporter, folder, context))
loading = held()["VmHWM"]
forget_peak()
prompt = torch.randint(2, 2000, (context - 8,)).tolist()
sampler = SimpleNamespace(draw=lambda logits: 5)
written = len(list(engine.decoder.tokens(prompt, sampler, lambda: False, lambda done: None)))
print(json.dumps(held() | {"loading": loading, "notes": engine.notes, "written": written}))
"""


def run(code: str, *words: str) -> str:
    """The last line that a fresh process prints."""
    here = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=here)
    if ended.returncode:
        raise SystemExit(ended.stderr[-2000:])
    return ended.stdout.splitlines()[-1]


def measure(name: str, dtype: str, folder: Path) -> tuple[int, dict[str, int], MemoryEstimate]:
    """Exact bytes of the parameters, what the process took, and the estimate."""
    if name == STARTER:
        folder = starter_folder()
        exact = weights_on_disk(folder).total
    else:
        exact = int(run(BUILD, str(folder), name, json.dumps(FAMILIES[name]), dtype))
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(starter_folder() / file, folder / file)
    taken = json.loads(run(LOAD, str(folder), str(CONTEXT)))
    build = Build(id=name, path=folder, model=name, precision=dtype, bytes=0)
    return exact, taken, estimate_build(build, CONTEXT)


def main() -> None:
    """Print one row per architecture and stored type; words on the command line choose among both."""
    print(f"{CONTEXT} tokens; total and peak are of the whole process in RAM, mapped is file pages that can be dropped")
    print(
        "family   stored     weights  estimate    off       total      peak    mapped   loading  total / peak  layers"
    )
    chosen = set(sys.argv[1:])
    names = (STARTER, *FAMILIES)
    for name in [name for name in names if name in chosen] or names:
        dtypes = [dtype for dtype in DTYPES if dtype in chosen] or DTYPES
        for dtype in ("float16",) if name == STARTER else dtypes:
            with tempfile.TemporaryDirectory() as place:
                exact, taken, numbers = measure(name, dtype, Path(place))
            told = next((note for note in taken["notes"] if note.startswith("linear layers in ")), "as stored")
            kind = told.removeprefix("linear layers in ").partition(":")[0]
            weights, total = numbers.weights or 0, numbers.total_cpu or 0
            print(
                f"{name:<8} {dtype:<9} {bytes_text(exact):>8} {bytes_text(weights):>9} {weights / exact - 1:>+6.1%}   "
                f"{bytes_text(total):>9} {bytes_text(taken['VmHWM']):>9} {bytes_text(taken['RssFile']):>9} "
                f"{bytes_text(taken['loading']):>9} {total / taken['VmHWM']:>11.2f}  {kind}",
                flush=True,
            )


if __name__ == "__main__":
    main()
