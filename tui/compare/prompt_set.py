"""Prompt sets: one prompt, or a file of them. Every error names the file and the line or row.

Text: one prompt a line, or blocks between lines of ``---``. JSONL: one object a line. TOML: ``[[prompts]]``. The fields
are ``prompt`` (or ``turns``, several things said one after another), ``id``, ``system``, ``expected`` (one answer or
several of which any is right), ``contains``, ``regex``, and ``json`` (true, or a JSON schema).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.compare.trial import Prompt
from tui.errors import NotFoundError, UsageError

SIZE_LIMIT = 20_000_000
FIELDS = ("prompt", "turns", "messages", "id", "system", "expected", "contains", "regex", "json")


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts in their order, with the system prompt of the whole file where it has one."""

    prompts: tuple[Prompt, ...]
    system: str = ""


def read_prompt_set(path: Path) -> PromptSet:
    """Read a file by the end of its name; raises ``NotFoundError`` and ``UsageError``."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{path} is larger than {SIZE_LIMIT // 1_000_000} MB", "split the file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"the prompts in {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    kind = path.suffix.casefold()
    if kind in (".jsonl", ".ndjson", ".json"):
        found = PromptSet(tuple(_json_lines(text, path)))
    elif kind == ".toml":
        found = _toml(text, path)
    else:
        found = PromptSet(tuple(Prompt((block,)) for block in _blocks(text)))
    if not found.prompts:
        raise UsageError(f"{path} holds no prompt", "one a line, JSONL with a prompt field, or TOML [[prompts]]")
    return found


def _blocks(text: str) -> list[str]:
    lines = text.split("\n")
    divided = any(line.strip() == "---" for line in lines)
    blocks = re.split(r"(?m)^\s*---\s*$", text) if divided else lines
    return [block.strip() for block in blocks if block.strip()]


def _json_lines(text: str, path: Path) -> list[Prompt]:
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from None
        return [prompt_of(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}, line {number}: {error}") from None
            found.append(prompt_of(row, f"{path}, line {number}"))
    return found


def _toml(text: str, path: Path) -> PromptSet:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None
    rows = table.get("prompts")
    if not isinstance(rows, list):
        raise UsageError(f"{path} has no [[prompts]]", "begin each prompt with [[prompts]]")
    prompts = tuple(prompt_of(row, f"{path}, prompt {number}") for number, row in enumerate(rows, 1))
    return PromptSet(prompts, _text(table, "system", str(path)))


def prompt_of(row: Any, where: str) -> Prompt:
    """One prompt from a table (or a plain text); ``where`` names it in errors. Raises ``UsageError``."""
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, dict):
        raise UsageError(f"{where} is not a table of fields")
    unknown = sorted(set(row) - set(FIELDS))
    if unknown:
        raise UsageError(f"{where}: {', '.join(unknown)} is not known", f"known are {', '.join(FIELDS)}")
    turns, system = _turns(row, where)
    if not turns or not all(turn.strip() for turn in turns):
        raise UsageError(f"{where} has no prompt", 'write "prompt" or "turns"')
    regex = _text(row, "regex", where)
    try:
        re.compile(regex)
    except re.error as error:
        raise UsageError(f"{where}: regex: {error}") from None
    schema = row.get("json")
    if schema is not None and not isinstance(schema, bool | dict):
        raise UsageError(f"{where}: json must be true or a schema")
    return Prompt(
        turns=turns,
        id=_text(row, "id", where),
        system=system or _text(row, "system", where),
        expected=_texts(row, "expected", where),
        contains=_texts(row, "contains", where),
        regex=regex,
        schema=schema if isinstance(schema, dict) else ({} if schema else None),
    )


def _turns(row: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], str]:
    if "messages" not in row:
        return _texts(row, "turns", where) or _texts(row, "prompt", where), ""
    messages = row["messages"]
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        raise UsageError(f"{where}: messages must be a list of role and content")
    said = [str(item.get("content") or "") for item in messages if item.get("role") == "user"]
    system = "\n".join(str(item.get("content") or "") for item in messages if item.get("role") == "system")
    return tuple(said), system


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name, "")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {name} must be a text")
    return value


def _texts(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = row.get(name)
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(_text({name: item}, name, where) for item in values)
