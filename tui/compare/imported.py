"""Public boards, imported from a file or a URL that the user gives. They are marked as imported and dated, always.

CSV or JSON: one row a model, with a column for its name and one for its score; the usual names of such columns are
known (``model``, ``name``; ``score``, ``rating``, ``elo``, ``average``, ``arena_score``). No key is ever sent.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tui.compare.trial_store import TrialStore
from tui.errors import HeftError, NotFoundError, UsageError
from tui.plain_text import clean_line

SIZE_LIMIT = 20_000_000
ROW_LIMIT = 5_000
_NAMES = ("model", "model_name", "name", "key", "model_id", "id", "fullname")
_SCORES = ("score", "rating", "elo", "arena_score", "average", "average ⬆️", "value", "arena score", "quality_index")
_LISTS = ("data", "rows", "models", "leaderboard", "results")
_SECONDS = 30.0


def import_board(store: TrialStore, source: str, name: str = "", dated: str = "") -> dict[str, Any]:
    """Read ``source``, keep it in ``store`` and return it: name, source, dated and rows (rank, model, score).

    ``dated`` is taken from the file where it says so, else from when it was read. Raises ``NotFoundError`` and
    ``UsageError``.
    """
    text, changed = _read(source)
    table = _table(text, source)
    rows = _ranked(table[0], source)
    kept: dict[str, Any] = {
        "name": clean_line(name or table[1].get("name") or Path(urlsplit(source).path).stem or "board", 60),
        "source": clean_line(source, 300),
        "dated": clean_line(dated or str(table[1].get("date") or changed), 40),
        "rows": rows,
    }
    store.keep_board(kept["name"], kept["source"], kept["dated"], {"rows": rows})
    return kept


def _read(source: str) -> tuple[str, str]:
    if source.startswith(("http://", "https://")):
        return _fetch(source), datetime.now(UTC).strftime("%Y-%m-%d")
    path = Path(source).expanduser()
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{path} is larger than {SIZE_LIMIT // 1_000_000} MB")
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d")
        return path.read_text(encoding="utf-8-sig"), changed
    except OSError as error:
        raise NotFoundError(f"the board {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def _fetch(url: str) -> str:
    import httpx2

    try:
        with httpx2.stream("GET", url, timeout=_SECONDS, follow_redirects=True) as response:
            response.raise_for_status()
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise UsageError(f"{url} is larger than {SIZE_LIMIT // 1_000_000} MB")
    except httpx2.HTTPError as error:
        raise HeftError(f"the board cannot be fetched: {clean_line(str(error), 200)}", "check the address") from None
    return body.decode("utf-8", "replace")


def _table(text: str, source: str) -> tuple[list[Mapping[str, Any]], dict[str, Any]]:
    """Rows, and what the file says of itself."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{source} is not JSON: {error}") from None
        about = value if isinstance(value, dict) else {}
        rows = value if isinstance(value, list) else next((value[key] for key in _LISTS if key in value), None)
        if isinstance(rows, list):
            return [row for row in rows if isinstance(row, dict)], about
        if all(isinstance(score, int | float) for score in about.values()):
            return [{"model": model, "score": score} for model, score in about.items()], {}
        raise UsageError(f"{source} holds no list of models", "give a list of objects with model and score")
    return list(csv.DictReader(io.StringIO(text))), {}


def _ranked(rows: Iterable[Mapping[str, Any]], source: str) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        folded = {str(key).strip().casefold(): value for key, value in row.items() if key is not None}
        name = next((folded[key] for key in _NAMES if folded.get(key)), None)
        score = next((number for key in _SCORES if (number := _number(folded.get(key))) is not None), None)
        if name is not None and score is not None:
            found.append((clean_line(str(name), 120), score))
    if not found:
        raise UsageError(
            f"{source} has no rows with a model and a score", f"columns are named {_NAMES[0]} and {_SCORES[0]}"
        )
    found.sort(key=lambda item: -item[1])
    return [{"rank": rank, "model": name, "score": score} for rank, (name, score) in enumerate(found[:ROW_LIMIT], 1)]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e12 else None  # also false for a NaN
