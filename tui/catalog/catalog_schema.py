"""The keys of models.toml: their types and allowed values, and how a row becomes a ``Model``.

This module alone knows the schema; the text at the top of models.toml says the same to people, and a test holds the
two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
from typing import Any

from tui.catalog.model import Api, Model, Shape
from tui.catalog.tasks import KINDS
from tui.plain_text import clean_line

STATUSES = (
    "active",
    "retired",
    "announced-only",
    "paper-only",
    "research-only",
    "by-request",
    "product",
    "elsewhere",
)
COMMERCIAL_USES = ("yes", "conditional", "no")
CONFIDENCES = ("verified", "known")
DTYPE_BYTES = {"float64": 8.0, "float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "float8_e4m3fn": 1.0, "mxfp4": 0.53125}
"""Allowed dtypes with their bytes per parameter; mxfp4 is 4 bits and one scale byte for 32 values."""

Check = Callable[[Any], Any]
Table = dict[str, Any]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REPO = re.compile(r"[A-Za-z0-9_.-]{1,96}/[A-Za-z0-9_.-]{1,96}|[A-Za-z0-9_.-]{1,96}|@starter|(?:/|~/).+")
_DATE = re.compile(r"\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?")


class KeyProblem(ValueError):
    """A value that its key does not allow; the message says what is allowed."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise KeyProblem(f"{_shown(value)} is not a text in quotes")
    return clean_line(value, 2000)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise KeyProblem(f"{_shown(value)} is not true or false")
    return value


def _count(least: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
            raise KeyProblem(f"{_shown(value)} is not a whole number of at least {least}")
        return value

    return check


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise KeyProblem(f"{_shown(value)} is not a number of at least 0")
    return float(value)


def _one_of(allowed: tuple[str, ...]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise KeyProblem(f"{_shown(value)} is not one of {', '.join(allowed)}")
        return value

    return check


def _like(pattern: re.Pattern[str], example: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value) or not value.isprintable():
            raise KeyProblem(f"{_shown(value)} is not like {example}")
        return value

    return check


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise KeyProblem(f"{_shown(value)} is not a list of texts in quotes")
    return [clean_line(item, 500) for item in value]


def _address(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/]\S*", value) or not value.isprintable():
        raise KeyProblem(f"{_shown(value)} is not an address like https://example.org/v1")
    return value


MODEL_KEYS: dict[str, Check] = {
    "id": _like(_ID, '"qwen3-4b" (letters, digits, ".", "_", "-")'),
    "name": _text,
    "family": _text,
    "vendor": _text,
    "kind": _one_of(KINDS),
    "status": _one_of(STATUSES),
    "open": _flag,
    "repo": _like(_REPO, '"org/name", an absolute folder or "@starter"'),
    "revision": _text,
    "alt_repos": _texts,
    "base_model": _text,
    "gated": _flag,
    "license": _text,
    "license_url": _address,
    "commercial_use": _one_of(COMMERCIAL_USES),
    "license_confidence": _one_of(CONFIDENCES),
    "released": _like(_DATE, '"2024-07"'),
    "params": _count(1),
    "params_is_estimate": _flag,
    "active_params": _count(1),
    "context_length": _count(1),
    "architecture": _text,
    "layers": _count(1),
    "kv_layers": _count(0),
    "hidden_size": _count(1),
    "intermediate_size": _count(1),
    "attention_heads": _count(1),
    "kv_heads": _count(1),
    "head_dim": _count(1),
    "vocab_size": _count(1),
    "sliding_window": _count(1),
    "sliding_layers": _count(0),
    "kv_width": _count(1),
    "cross_layers": _count(0),
    "cross_tokens": _count(1),
    "state_bytes": _count(0),
    "tied_embeddings": _flag,
    "dtype": _one_of(tuple(DTYPE_BYTES)),
    "weights_gb": _number,
    "quantization": _text,
    "formats": _texts,
    "stated_vram_gb": _number,
    "ollama": _text,
    "laptop_cpu": _flag,
    "first_run": _flag,
    "tokens_trained": _count(1),
    "dataset": _text,
    "strengths": _text,
    "limitations": _text,
    "note": _text,
    "source": _text,
    "confidence": _one_of(CONFIDENCES),
}
"""Every key of a [[model]] table but ``api``."""

API_KEYS: dict[str, Check] = {
    "provider": _text,
    "base_url": _address,
    "key_env": _like(re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), '"OPENAI_API_KEY" (the name of a variable, never the key)'),
    "openai_compatible": _flag,
    "model_id": _text,
    "retired_on": _like(_DATE, '"2026-10-23"'),
    "replacement": _text,
    "price_in": _number,
    "price_out": _number,
    "price_date": _like(_DATE, '"2026-11"'),
    "price_source": _text,
    "note": _text,
}
LICENSE_KEYS: dict[str, Check] = {"url": _address, "commercial_use": _one_of(COMMERCIAL_USES)}
PROVIDER_KEYS: dict[str, Check] = {
    "name": _text,
    "base_url": _address,
    "key_env": API_KEYS["key_env"],
    "openai_compatible": _flag,
}

_SHAPE_FIELDS = frozenset(item.name for item in fields(Shape)) - {"kv_bytes_per_token"}
_RENAMED = {"source": "facts_source"}


def check_table(table: Any, keys: Mapping[str, Check], tell: Callable[[str, str], None]) -> Table:
    """Return the keys of ``table`` that hold; ``tell(key, message)`` hears of each that does not."""
    if not isinstance(table, dict):
        tell("", f"{_shown(table)} is not a table")
        return {}
    kept: Table = {}
    for key, value in table.items():
        if key not in keys:
            near = get_close_matches(key, keys, 1)
            tell(key, f"is not a key here; did you mean {near[0]}?" if near else "is not a key here")
            continue
        try:
            kept[key] = keys[key](value)
        except KeyProblem as problem:
            tell(key, str(problem))
    return kept


def build_model(row: Table, licenses: Mapping[str, Table], providers: Mapping[str, Table], source: str) -> Model:
    """Make a ``Model`` of a checked row; what other keys imply is worked out here. ``source`` is where it came from."""
    plain: Table = {}
    shape: Table = {}
    for key, value in row.items():
        if key in _SHAPE_FIELDS:
            shape[key] = value
        elif key not in ("api", "weights_gb", "stated_vram_gb"):
            plain[_RENAMED.get(key, key)] = tuple(value) if isinstance(value, list) else value
    terms = licenses.get(row.get("license", ""), {})
    plain.setdefault("license_url", terms.get("url", ""))
    plain.setdefault("commercial_use", terms.get("commercial_use", ""))
    plain.setdefault("name", row["id"])
    api = _build_api(row["api"], providers) if row.get("api") else None
    if api is not None and api.retired and not row.get("repo"):
        plain.setdefault("status", "retired")
    if "stated_vram_gb" in row:
        plain["stated_vram"] = round(row["stated_vram_gb"] * 1e9)
    plain["weights_bytes"] = _weights_bytes(row)
    return Model(**plain, shape=_build_shape(shape), api=api, source=source)


def _build_api(table: Table, providers: Mapping[str, Table]) -> Api:
    provider = providers.get(table.get("provider", ""), {})
    merged = {key: value for key, value in provider.items() if key != "name"} | table
    merged["provider"] = provider.get("name") or table.get("provider", "")
    merged.setdefault("model_id", "")
    merged.setdefault("base_url", "")
    retired_on = merged.get("retired_on", "")
    return Api(**merged, retired=bool(retired_on) and retired_on <= date.today().isoformat())


def _build_shape(shape: Table) -> Shape:
    shape = dict(shape)
    heads = shape.get("attention_heads")
    if "layers" in shape:
        shape.setdefault("kv_layers", shape["layers"])
    if heads:
        shape.setdefault("kv_heads", heads)
        if "hidden_size" in shape:
            shape.setdefault("head_dim", shape["hidden_size"] // heads)
    terms = [shape.get(key) for key in ("kv_layers", "kv_heads", "head_dim")]
    # K and V, 2 bytes each at 16 bit.
    per_token = 0 if terms[0] == 0 else None if None in terms else 4 * terms[0] * terms[1] * terms[2]  # type: ignore[operator]
    return Shape(**shape, kv_bytes_per_token=per_token)


def _weights_bytes(row: Table) -> int | None:
    if "weights_gb" in row:
        return round(float(row["weights_gb"]) * 1e9)
    width = DTYPE_BYTES.get(row.get("dtype", ""))
    params = int(row.get("params", 0))
    return round(params * width) if width and params else None


def _shown(value: Any) -> str:
    return clean_line(repr(value), 60)
