"""One models.toml as checked rows, and the cache that makes reading it again cheap.

Parsing 250 kB of TOML takes tens of milliseconds, which a command line pays each time; the checked rows are therefore
kept as JSON under the digest of the file they came from. A cache that does not match in every respect is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tui.catalog.catalog_schema import API_KEYS, LICENSE_KEYS, MODEL_KEYS, PROVIDER_KEYS, Table, check_table
from tui.plain_text import clean_line

_CACHE_FORMAT = 1
_ROW_START = re.compile(r"^[ \t]*\[\[[ \t]*model[ \t]*\]\]", re.MULTILINE)
_ROW_ID = re.compile(r"""^[ \t]*id[ \t]*=[ \t]*["']([^"'\n]{1,96})["']""", re.MULTILINE)
_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$")


@dataclass(frozen=True, slots=True)
class CatalogProblem:
    """One mistake in a catalog file. ``row`` is the id of the row or its number ("#12"), ``key`` may be empty;
    ``line`` counts from 1, 0 when it is not known."""

    file: str
    row: str
    key: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        place = [self.file, f"line {self.line}" if self.line else "", self.row, self.key]
        return f"{', '.join(part for part in place if part)}: {self.message}"


@dataclass(slots=True)
class FileRows:
    """What one file holds: rows and tables whose every key is checked, and the problems of the others."""

    file: str
    rows: list[Table] = field(default_factory=list)
    licenses: dict[str, Table] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    problems: tuple[CatalogProblem, ...] = ()


def read_rows(path: Path, cache: Path, *, must_exist: bool = False) -> FileRows:
    """Read ``path``, through ``cache`` where that matches. Raises nothing; a missing file is a problem only when it
    ``must_exist``."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        missing = (CatalogProblem(str(path), "", "", "is missing; install Heft again"),) if must_exist else ()
        return FileRows(str(path), problems=missing)
    except OSError as error:
        return FileRows(str(path), problems=(CatalogProblem(str(path), "", "", str(error.strerror or error)),))
    digest = hashlib.sha256(content + _signature()).hexdigest()
    known = _read_cache(cache, digest, str(path))
    if known is None:
        known = parse_rows(content.decode("utf-8", "replace"), str(path))
        _write_cache(cache, digest, known)
    return known


def parse_rows(text: str, file: str) -> FileRows:
    """Check ``text`` row by row. Where it is not TOML as a whole, each [[model]] is read for itself."""
    text = text.replace("\r\n", "\n")
    problems: list[CatalogProblem] = []
    starts = [match.start() for match in _ROW_START.finditer(text)]
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        table, starts = _rescue(text, starts, file, problems)
    found = FileRows(file)
    for key in table.keys() - {"model", "licenses", "providers"}:
        problems.append(
            CatalogProblem(file, "", clean_line(key, 60), "does not belong here; rows begin with [[model]]")
        )
    _read_tables(table, found, problems)
    tables = table.get("model", [])
    if not isinstance(tables, list):
        problems.append(CatalogProblem(file, "", "model", "must be written [[model]], in two brackets"))
        tables = []
    seen: dict[str, _Place] = {}
    for number, raw in enumerate(tables, 1):
        place = _Place(text, starts[number - 1] if len(starts) == len(tables) else -1)
        row = _read_row(raw, number, place, file, problems)
        if row is None:
            continue
        if row["id"] in seen:
            line = seen[row["id"]].line_of("id")
            first = f" (first in line {line})" if line else ""
            message = f"stands twice{first}; this one is left out"
            problems.append(CatalogProblem(file, row["id"], "id", message, place.line_of("id")))
            continue
        seen[row["id"]] = place
        found.rows.append(row)
    found.problems = tuple(problems)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    text: str
    start: int

    def line_of(self, key: str) -> int:
        """Line of ``key`` in the row that begins at ``start``, or of the row; 0 when that is not known."""
        if self.start < 0:
            return 0
        following = _ROW_START.search(self.text, self.start + 1)
        end = following.start() if following else len(self.text)
        word = re.escape(key.rpartition(".")[2])
        match = re.compile(rf"(?:^|[{{,])[ \t]*[\"']?{word}[\"']?[ \t]*=", re.MULTILINE).search(
            self.text, self.start, end
        )
        at = match.start() if match and key else self.start
        return self.text.count("\n", 0, at) + 1


def _read_row(raw: Any, number: int, place: _Place, file: str, problems: list[CatalogProblem]) -> Table | None:
    label = f"#{number}"
    if isinstance(raw, dict) and isinstance(raw.get("id"), str):
        label = clean_line(raw["id"], 60) or label

    def tell(key: str, message: str) -> None:
        problems.append(CatalogProblem(file, label, clean_line(key, 60), message, place.line_of(key)))

    plain = {key: value for key, value in raw.items() if key != "api"} if isinstance(raw, dict) else raw
    row = check_table(plain, MODEL_KEYS, tell)
    if "id" not in row:
        if not isinstance(raw, dict) or "id" not in raw:
            tell("id", "is missing, so the row is left out")
        return None
    if isinstance(raw, dict) and "api" in raw:
        api = check_table(raw["api"], API_KEYS, lambda key, message: tell(f"api.{key}" if key else "api", message))
        if api:
            row["api"] = api
    return row


def _read_tables(table: dict[str, Any], found: FileRows, problems: list[CatalogProblem]) -> None:
    for section, keys, into in (
        ("licenses", LICENSE_KEYS, found.licenses),
        ("providers", PROVIDER_KEYS, found.providers),
    ):
        tables = table.get(section, {})
        for name, value in tables.items() if isinstance(tables, dict) else ():
            into[clean_line(name, 200)] = check_table(value, keys, _teller(problems, found.file, f"{section}.{name}"))


def _teller(problems: list[CatalogProblem], file: str, row: str) -> Callable[[str, str], None]:
    def tell(key: str, message: str) -> None:
        problems.append(CatalogProblem(file, clean_line(row, 80), clean_line(key, 60), message))

    return tell


def _rescue(
    text: str, starts: list[int], file: str, problems: list[CatalogProblem]
) -> tuple[dict[str, Any], list[int]]:
    # The file as a whole is not TOML: read what stands before the first row and then each row for itself.
    whole: dict[str, Any] = {}
    rows: list[Any] = []
    kept: list[int] = []
    for number, (start, piece) in enumerate(_pieces(text, starts)):
        try:
            table = tomllib.loads(piece)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            line = text.count("\n", 0, start) + _error_line(error, piece)
            named = _ROW_ID.search(piece)
            row = clean_line(named[1], 60) if named and number else f"#{number}" if number else ""
            said = clean_line(_AT_LINE.sub("", str(error)), 200)
            left_out = "the row is left out" if number else "what stands before the first row is left out"
            problems.append(CatalogProblem(file, row, "", f"is not TOML ({said}); {left_out}", line))
            continue
        if number == 0:
            whole = table
            continue
        models = table.pop("model")
        rows += models
        kept += [start] * len(models)
        whole = {**table, **whole}
    return {**whole, "model": rows}, kept


def _pieces(text: str, starts: list[int]) -> Iterator[tuple[int, str]]:
    ends = [*starts, len(text)]
    yield 0, text[: ends[0]]
    for start, end in zip(starts, ends[1:], strict=True):
        yield start, text[start:end]


def _error_line(error: Exception, piece: str) -> int:
    match = _AT_LINE.search(str(error))
    return int(match[1]) if match and match[1] else piece.rstrip().count("\n") + 1


def _signature() -> bytes:
    # Rows that were checked by other rules must not be taken for checked.
    names = [sorted(keys) for keys in (MODEL_KEYS, API_KEYS, LICENSE_KEYS, PROVIDER_KEYS)]
    return json.dumps([_CACHE_FORMAT, names]).encode()


def _read_cache(cache: Path, digest: str, file: str) -> FileRows | None:
    # First line: what was parsed, and the digest of what follows, so that a torn or edited cache is seen.
    try:
        head, _, body = cache.read_bytes().partition(b"\n")
        if head.decode("ascii").split() != [digest, hashlib.sha256(body).hexdigest()]:
            return None
        table = json.loads(body)
        if table["file"] != file:
            return None
        problems = tuple(CatalogProblem(**problem) for problem in table["problems"])
        return FileRows(file, table["rows"], table["licenses"], table["providers"], problems)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write_cache(cache: Path, digest: str, found: FileRows) -> None:
    table = {
        "file": found.file,
        "rows": found.rows,
        "licenses": found.licenses,
        "providers": found.providers,
        "problems": [asdict(problem) for problem in found.problems],
    }
    body = json.dumps(table, separators=(",", ":")).encode()
    head = f"{digest} {hashlib.sha256(body).hexdigest()}\n".encode("ascii")
    beside = cache.with_name(f".{cache.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(head + body)
            beside.replace(cache)
        finally:
            beside.unlink(missing_ok=True)
