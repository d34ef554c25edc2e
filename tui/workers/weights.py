"""From a folder of weights to a model: the one place that knows which library loads what.

Plain transformers loads nearly everything: 16-bit weights, GPTQ, AWQ, bitsandbytes, compressed-tensors. Some
architectures reload right through GPTQModel alone; their provenance says so. Weights in 16 bits can be quantized while
they load (``tui.fit.load_time`` names the ways and says where they do not work).
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tui.catalog.build import PROVENANCE_FILE
from tui.catalog.quantization import quantization_table
from tui.catalog.weight_files import INDEX_FILE, weight_files
from tui.errors import BuildBrokenError
from tui.fit.load_time import BNB_INT8, BNB_NF4, TORCHAO_INT8
from tui.workers.libraries import torch_dtype

GPTQMODEL = "gptqmodel"
TRANSFORMERS = "transformers"


def loader_of(folder: Path) -> str:
    """Which library loads the build in ``folder``: what its heft.json says, else plain transformers."""
    try:
        facts = json.loads((folder / PROVENANCE_FILE).read_bytes())
    except (OSError, ValueError):
        return TRANSFORMERS
    wanted = facts.get("loader") if isinstance(facts, dict) else None
    return GPTQMODEL if wanted == GPTQMODEL else TRANSFORMERS


def load_weights(
    folder: Path, *, dtype: str, device: str, loader: str = "", load_as: str = "", config: Any = None
) -> tuple[Any, list[str]]:
    """The model in ``folder`` on ``device`` ("cpu", or a GPU) and the names of weights that its files lack.

    ``dtype`` is what is computed in; ``load_as`` quantizes 16-bit weights on the way. Only safetensors, never code from
    the folder, never the network.
    """
    wanted = torch_dtype(dtype) if dtype else None
    place = "cpu" if device == "cpu" else "cuda:0"
    if (loader or loader_of(folder)) == GPTQMODEL:
        from gptqmodel import GPTQModel
        from gptqmodel.nn_modules.qlinear.torch import TorchLinear

        # The kernel for 2, 3 and 8 bits computes in 32 bit too, as it does where transformers loads it.
        TorchLinear.SUPPORTS_DTYPES = list({*TorchLinear.SUPPORTS_DTYPES, torch_dtype("float32")})
        wrapped = GPTQModel.load(str(folder), device=place, dtype=wanted, trust_remote_code=False)
        return wrapped.model.eval(), []
    from transformers import AutoConfig, AutoModelForCausalLM

    config = config or AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    table = quantization_table(folder)
    if table and not getattr(config, "quantization_config", None):
        config.quantization_config = table
    with _usual_names(folder) as named:
        model, loading = AutoModelForCausalLM.from_pretrained(
            named,
            config=config,
            dtype=wanted,
            device_map=None if place == "cpu" else {"": place},
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **_on_the_way(load_as, wanted, bool(table)),
        )
    return model.eval(), sorted(loading["missing_keys"])


@contextmanager
def _usual_names(folder: Path) -> Iterator[Path]:
    # AutoGPTQ named its one file after the recipe (gptq_model-4bit-128g.safetensors), where transformers finds nothing.
    names = weight_files(folder)
    if len(names) != 1 or names[0] == "model.safetensors" or (folder / INDEX_FILE).exists():
        yield folder
        return
    with TemporaryDirectory(prefix="heft-") as place:
        for file in folder.iterdir():
            name = "model.safetensors" if file.name == names[0] else file.name
            (Path(place) / name).symlink_to(file.absolute())
        yield Path(place)


def _on_the_way(load_as: str, dtype: Any, is_quantized: bool) -> dict[str, Any]:
    if not load_as:
        return {}
    if is_quantized:
        raise BuildBrokenError(f"{load_as} needs weights in 16 bits, and these are quantized", "load them as they are")
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if load_as == BNB_INT8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    if load_as == BNB_NF4:
        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
        }
    if load_as == TORCHAO_INT8:
        from torchao.quantization import Int8WeightOnlyConfig

        return {"quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}
    raise BuildBrokenError(f"{load_as!r} is not a way to load weights", f"use {BNB_INT8}, {BNB_NF4} or {TORCHAO_INT8}")


def release_memory() -> None:
    """Give memory that Python no longer uses back to the system and to the GPU."""
    import torch

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
