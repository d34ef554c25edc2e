"""Which engine a host on a CPU will load a build into, as far as memory goes: their processes differ by 300 MB.

The worker decides when it loads (workers/host/engine_choice.py); this says what it will decide where nobody asks for
another engine.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tui.catalog.gguf_plan import BLOCK, plan_gguf
from tui.errors import HeftError
from tui.fit.precision import Precision
from tui.hardware.host_probe import llama_cpp_lacks

LLAMA_CPP = "llama.cpp"
TRANSFORMERS = "transformers"


def engine_on_cpu(folder: Path, wanted: str = "auto") -> str:
    """llama.cpp for a GPTQ build in ``folder`` that it holds bit for bit, or where it is ``wanted``; else
    transformers."""
    if wanted != "auto":
        return wanted
    try:
        plan = plan_gguf(folder)
    except HeftError:
        return TRANSFORMERS
    return LLAMA_CPP if plan.quantized and plan.exact and has_llama_cpp() else TRANSFORMERS


def will_run_in_llama(precision: Precision, architecture: str) -> bool:
    """Whether a GPTQ build that Heft would make in ``precision``, as it does unless told otherwise, will be loaded into
    llama.cpp on a CPU."""
    blocks = precision.group_size <= 0 or precision.group_size % BLOCK == 0
    return precision.label.startswith("gptq") and blocks and architecture in _HELD and has_llama_cpp()


_HELD = tuple(
    f"{name}ForCausalLM"
    for name in ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Gemma3", "Phi3", "SmolLM3")
)
"""What ``gguf_plan`` exports, by the names that transformers gives the classes."""


@lru_cache(maxsize=1)
def has_llama_cpp() -> bool:
    """Whether llama.cpp is installed and runs on this processor; asked once."""
    return find_spec("xllamacpp") is not None and not llama_cpp_lacks()
