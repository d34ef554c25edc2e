"""Which files of a repository a build needs: one copy of the weights, the tokenizer, the configuration and the card.

Repositories carry the same weights in up to eight formats. This module alone chooses, so that what is shown before a
download is what the download fetches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from tui.catalog.weight_files import gguf_quantization

_OTHER_FOLDERS = re.compile(
    r"(^|/)(onnx|openvino|coreml|tensorrt|original|metal|tf|flax|figures|images|assets|\.cache|\.eval_results|runs)/"
)
_OTHER_FORMATS = re.compile(
    r"\.(onnx|onnx_data.*|tflite|mlmodel|mlpackage|msgpack|h5|ot|nemo|llamafile|xml|npz|engine"
    r"|png|jpe?g|gif|svg|webp|mp4|pdf|ipynb|zip|tar|gz)$",
    re.IGNORECASE,
)
_LEFTOVERS = re.compile(
    r"(^|/)(\.git[^/]*|training_args\.bin|(optimizer|scheduler|scaler)\.(pt|bin)|rng_state[^/]*\.pth|trainer_state\.json"
    r"|events\.out\.[^/]*|tf_model[^/]*|flax_model[^/]*|rust_model[^/]*|openvino_[^/]*|heft\.json)$"
)
_PICKLES = re.compile(r"\.(bin|pt|pth|ckpt)$|\.bin\.index\.json$")
_VARIANT = re.compile(r"\.(fp16|fp32|bf16|non_ema)(?=\.safetensors|-\d{5}-of-|\.bin)")
_MODEL_SHARD = re.compile(r"(^|/)model(-\d{5}-of-\d{5})?\.safetensors$")
_CONSOLIDATED = re.compile(r"(^|/)(consolidated|tekken-weights)[^/]*\.safetensors$")
_GGUF_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_GGUF_CHOICE = ("Q4_K_M", "Q4_K_S", "Q4_0", "MXFP4", "Q5_K_M", "Q6_K", "Q8_0", "F16")


class SizedFile(Protocol):
    """A file of a repository: ``path`` inside it and ``size`` in bytes."""

    @property
    def path(self) -> str:
        """Path inside the repository, with "/"."""

    @property
    def size(self) -> int:
        """Bytes."""


_File = TypeVar("_File", bound=SizedFile)


def needed_files(files: Sequence[_File], gguf: str = "") -> tuple[_File, ...]:
    """Return the files that a build of this repository needs, in their order.

    safetensors before pickled weights, folder by folder; pickled ones only where there is nothing else; of a
    repository that has only GGUF, one quantization: ``gguf``, or 4 bits where there are any. A quantization that is
    asked for and not there leaves no weights.
    """
    kept = [file for file in files if not _is_never_needed(file.path)]
    kept = _one_variant(kept)
    with_safetensors = {_folder(file.path) for file in kept if file.path.endswith(".safetensors")}
    kept = [file for file in kept if not (_PICKLES.search(file.path) and _folder(file.path) in with_safetensors)]
    if any(_MODEL_SHARD.search(file.path) for file in kept):
        kept = [file for file in kept if not _CONSOLIDATED.search(file.path)]
    return tuple(_one_gguf(kept, gguf))


def is_weights(path: str) -> bool:
    """Whether a file of this name holds weights that torch reads; GGUF is not among them."""
    return path.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt"))


def gguf_choices(files: Sequence[SizedFile]) -> dict[str, int]:
    """The GGUF quantizations of a repository by name ("q4_k_m"), with the bytes of each, smallest first."""
    sizes = _gguf_sizes(file for file in files if file.path.lower().endswith(".gguf"))
    named = {gguf_name(name): size for name, size in sizes.items()}
    return dict(sorted(named.items(), key=lambda item: item[1]))


def gguf_name(path: str) -> str:
    """What a choice of the GGUF file ``path`` is called: its quantization, else its name."""
    whole = _GGUF_PART.sub(".gguf", path)
    return gguf_quantization(whole) or whole


def _is_never_needed(path: str) -> bool:
    return bool(_OTHER_FOLDERS.search(path) or _OTHER_FORMATS.search(path) or _LEFTOVERS.search(path))


def _one_variant(files: Sequence[_File]) -> list[_File]:
    paths = {file.path for file in files}
    plain = {_folder(path) for path in paths if is_weights(path) and not _VARIANT.search(path)}
    return [file for file in files if not (_VARIANT.search(file.path) and _folder(file.path) in plain)]


def _one_gguf(files: Sequence[_File], wanted: str) -> list[_File]:
    ggufs = [file for file in files if file.path.lower().endswith(".gguf")]
    others = [file for file in files if not file.path.lower().endswith(".gguf")]
    if not ggufs or (any(is_weights(file.path) for file in others) and not wanted):
        return others
    others = [file for file in others if not is_weights(file.path)]
    chosen = _gguf_of_choice(ggufs, wanted)
    return [file for file in files if file in others or _GGUF_PART.sub(".gguf", file.path) == chosen]


def _gguf_sizes(ggufs: Iterable[SizedFile]) -> dict[str, int]:
    """Bytes by name; parts count as one, image projectors are left out."""
    sizes: dict[str, int] = {}
    for file in ggufs:
        if "mmproj" not in file.path.lower():
            name = _GGUF_PART.sub(".gguf", file.path)
            sizes[name] = sizes.get(name, 0) + file.size
    return sizes


def _gguf_of_choice(ggufs: Iterable[SizedFile], wanted: str) -> str:
    sizes = _gguf_sizes(ggufs)
    if wanted:
        return next((name for name in sorted(sizes) if wanted.lower() in (gguf_quantization(name), name.lower())), "")
    for quantization in _GGUF_CHOICE:
        for name in sorted(sizes):
            if quantization in name.upper():
                return name
    return min(sizes, key=lambda name: sizes[name], default="")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
