"""Sizes, counts and durations as a person writes and reads them. Sizes are decimal, as on disks and model cards."""

from __future__ import annotations

import re

from tui.errors import UsageError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?)b?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_bytes(text: str) -> int:
    """Read "24GB", "24 GiB", "1.5T" or plain bytes; raises ``UsageError``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a size", "write it like 24GB, 1.5TB or 800MiB")
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])


def parse_count(text: str) -> int:
    """Read a number of parameters or tokens: "7B", "350M", "8k" or plain digits; raises ``UsageError``."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmbt]?)\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(f"{text!r} is not a count", "write it like 7B, 350M or 8k")
    return int(float(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}[match[2].lower()])


def bytes_text(size: float | None) -> str:
    """Write bytes in three significant digits: "4.12 GB"; a dash for None."""
    if size is None:
        return "—"
    if abs(size) < 1000:
        return f"{size:.0f} B"
    units = ["kB", "MB", "GB", "TB"]
    power = 1
    while abs(size) >= 999.5 * 1000**power and power < len(units):
        power += 1
    size /= 1000**power
    digits = 2 if abs(size) < 9.995 else 1 if abs(size) < 99.95 else 0
    return f"{size:.{digits}f} {units[power - 1]}"


def count_text(number: float | None) -> str:
    """Write a count of parameters or tokens: "7.24B", "350M", "8.2k"; a dash for None."""
    if number is None:
        return "—"
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit * 0.9995:
            value = number / limit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            text = f"{value:.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return f"{number:.0f}"


def duration_text(seconds: float | None) -> str:
    """Write seconds as "8s", "3m 20s", "2h 05m" or "4d 3h"; a dash for None."""
    if seconds is None:
        return "—"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"
