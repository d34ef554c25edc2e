"""What the hub's JSON means in our words. Pure functions: foreign data in, harmless frozen shapes out.

Nothing in an answer is trusted: texts are cleaned, numbers checked, and a row that is not a model's is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui.catalog.model import Model, Shape
from tui.catalog.needed_files import needed_files
from tui.catalog.tasks import kind_of_pipeline
from tui.plain_text import clean_line

REPOSITORY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}(?:/[A-Za-z0-9_.-]{1,96})?")

_DTYPE_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn"}
_FORMATS = ("safetensors", "gguf", "pytorch", "onnx", "tf", "jax", "mlx", "openvino", "coreml")
_QUANTIZATIONS = (
    "gptq",
    "awq",
    "bitsandbytes",
    "compressed-tensors",
    "fp8",
    "mxfp4",
    "exl2",
    "exl3",
    "aqlm",
    "hqq",
    "gguf",
)
_LICENSES = {
    "apache-2.0": ("Apache-2.0", "yes"),
    "mit": ("MIT", "yes"),
    "bsd-3-clause": ("BSD-3-Clause", "yes"),
    "bsd-2-clause": ("BSD-2-Clause", "yes"),
    "cc0-1.0": ("CC0-1.0", "yes"),
    "unlicense": ("Unlicense", "yes"),
    "cc-by-4.0": ("CC-BY-4.0", "yes"),
    "cc-by-sa-4.0": ("CC-BY-SA-4.0", "yes"),
    "cc-by-sa-3.0": ("CC-BY-SA-3.0", "yes"),
    "gpl-3.0": ("GPL-3.0", "yes"),
    "cc-by-nc-4.0": ("CC-BY-NC-4.0", "no"),
    "cc-by-nc-sa-4.0": ("CC-BY-NC-SA-4.0", "no"),
    "cc-by-nc-nd-4.0": ("CC-BY-NC-ND-4.0", "no"),
    "llama2": ("Llama 2 Community License", "conditional"),
    "llama3": ("Llama 3 Community License", "conditional"),
    "llama3.1": ("Llama 3.1 Community License", "conditional"),
    "llama3.2": ("Llama 3.2 Community License", "conditional"),
    "llama3.3": ("Llama 3.3 Community License", "conditional"),
    "gemma": ("Gemma Terms of Use", "conditional"),
    "openrail": ("OpenRAIL", "conditional"),
    "bigscience-bloom-rail-1.0": ("BigScience BLOOM RAIL 1.0", "conditional"),
    "bigcode-openrail-m": ("BigCode OpenRAIL-M", "conditional"),
    "creativeml-openrail-m": ("CreativeML OpenRAIL-M", "conditional"),
}


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository. ``sha256`` is empty for small files that git holds itself: ``blob_id`` is then the
    git-sha1 of "blob <size>\\0" and the content. ``size`` counts bytes."""

    path: str
    size: int
    sha256: str
    blob_id: str


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository at one commit. ``gated`` is true when its files need accepted terms."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]
    gated: bool
    model: Model
    gguf: str = ""
    """Which of its GGUF quantizations is wanted."""

    @property
    def needed_files(self) -> tuple[HubFile, ...]:
        """What a download fetches: one copy of the weights and what belongs to them."""
        return needed_files(self.files, self.gguf)


def read_model(answer: Any) -> Model | None:
    """Read one model of a listing, or the head of a repository; None when it is not a model's."""
    if not isinstance(answer, Mapping):
        return None
    repo = answer.get("id") or answer.get("modelId")
    if not isinstance(repo, str) or not REPOSITORY_NAME.fullmatch(repo):
        return None
    tags = _texts(answer.get("tags"))
    config = _table(answer.get("config"))
    quantization = _quantization(config, tags)
    params, dtype = _parameters(answer, config, quantization)
    license_name, commercial = _license(answer, tags)
    gguf = _table(answer.get("gguf"))
    architecture = next(iter(_texts(config.get("architectures"))), "") or _text(gguf.get("architecture"))
    return Model(
        id=repo,
        name=repo.rpartition("/")[2],
        repo=repo,
        family=_text(config.get("model_type")) or _text(gguf.get("architecture")),
        vendor=repo.partition("/")[0] if "/" in repo else "",
        kind=kind_of_pipeline(_text(answer.get("pipeline_tag")), tags),
        params=params,
        context_length=_count(gguf.get("context_length")),
        license=license_name,
        commercial_use=commercial,
        gated=bool(answer.get("gated")),
        released=_text(answer.get("createdAt"))[:7],
        weights_bytes=_weights_bytes(answer),
        shape=Shape(architecture=architecture, dtype=dtype),
        formats=tuple(item for item in _FORMATS if item in tags),
        downloads=_count(answer.get("downloads")),
        likes=_count(answer.get("likes")),
        updated=_text(answer.get("lastModified"))[:10],
        quantization=quantization,
        facts_source="the hub's own metadata",
        source="hub",
    )


def read_files(answer: Mapping[str, Any]) -> tuple[HubFile, ...] | None:
    """Read ``siblings`` of a repository that was asked with ``blobs=true``; None when an entry is not a file's.

    A name that leaves its folder ("..", an absolute path, a control character) makes the whole answer unusable:
    leaving it out would give a repository that only looks complete.
    """
    siblings = answer.get("siblings")
    if not isinstance(siblings, list):
        return None
    files = []
    for entry in siblings:
        path = _table(entry).get("rfilename")
        lfs = _table(_table(entry).get("lfs"))
        if not isinstance(path, str) or not safe_path(path):
            return None
        size = _count(lfs.get("size"))
        if size is None:
            size = _count(entry.get("size"))
        if size is None:
            return None
        sha256 = lfs.get("sha256") or lfs.get("oid") or ""
        files.append(HubFile(path, size, _hex(sha256, 64), _hex(entry.get("blobId"), 40)))
    return tuple(files)


def safe_path(path: str) -> bool:
    """True when ``path`` names a file below its own folder on any system."""
    parts = path.split("/")
    return (
        bool(path)
        and len(path) <= 1000
        and path.isprintable()
        and "\\" not in path
        and not any(part in ("", ".", "..") for part in parts)
    )


def _parameters(answer: Mapping[str, Any], config: Mapping[str, Any], quantization: str) -> tuple[int | None, str]:
    safetensors = _table(answer.get("safetensors"))
    counts = {dtype: _count(n) for dtype, n in _table(safetensors.get("parameters")).items()}
    known = {dtype: n for dtype, n in counts.items() if n}
    dtype = _DTYPE_NAMES.get(max(known, key=known.__getitem__), "") if known else ""
    bits = _count(_table(config.get("quantization_config")).get("bits"))
    packed = known.get("I32", 0)
    if quantization in ("gptq", "awq") and packed:
        # Packed integers hold several weights each, so the hub's own total is too small.
        if bits not in (2, 3, 4, 8):
            return None, dtype
        return packed * 32 // bits + sum(n for name, n in known.items() if name not in ("I32", "I64")), dtype
    total = _count(safetensors.get("total")) or _count(_table(answer.get("gguf")).get("total"))
    return total or sum(known.values()) or None, dtype


def _weights_bytes(answer: Mapping[str, Any]) -> int | None:
    counts = _table(_table(answer.get("safetensors")).get("parameters"))
    total = sum((_count(number) or 0) * _DTYPE_BYTES.get(str(dtype), 1) for dtype, number in counts.items())
    return total or None


def _quantization(config: Mapping[str, Any], tags: tuple[str, ...]) -> str:
    method = _text(_table(config.get("quantization_config")).get("quant_method")).lower()
    return method or next((item for item in _QUANTIZATIONS if item in tags), "")


def _license(answer: Mapping[str, Any], tags: tuple[str, ...]) -> tuple[str, str]:
    name = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    card = _table(answer.get("cardData"))
    if name in ("", "other"):
        name = _text(card.get("license_name")) or name or _text(card.get("license"))
    if name in _LICENSES:
        return _LICENSES[name]
    return name, "no" if "-nc" in name or "non-commercial" in name else ""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return clean_line(value, 200) if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(clean_line(item, 200) for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _hex(value: Any, length: int) -> str:
    text = value.lower() if isinstance(value, str) else ""
    return text if re.fullmatch(f"[0-9a-f]{{{length}}}", text) else ""
