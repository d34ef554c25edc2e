"""Sizes, counts and durations, both ways."""

from __future__ import annotations

import pytest

from tui.errors import UsageError
from tui.quantities import bytes_text, count_text, duration_text, parse_bytes, parse_count


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "—"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_600, "1.00 MB"),
        (4_120_000_000, "4.12 GB"),
        (24e9, "24.0 GB"),
        (139e9, "139 GB"),
        (1.5e12, "1.50 TB"),
        (5e16, "50000 TB"),
    ],
)
def test_bytes_are_written_with_three_digits(size: float | None, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("text", "size"), [("24GB", 24 * 10**9), ("24 GiB", 24 * 2**30), ("1.5T", 15 * 10**11), ("800", 800), ("2k", 2000)]
)
def test_bytes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "many", "-3GB", "3XB", "3 GB GB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("number", "text"), [(None, "—"), (7.24e9, "7.24B"), (135e6, "135M"), (8192, "8.19k"), (999, "999"), (1e9, "1B")]
)
def test_counts_are_written(number: float | None, text: str) -> None:
    assert count_text(number) == text


def test_counts_are_read() -> None:
    assert parse_count("7B") == 7_000_000_000
    assert parse_count("1.5k") == 1500
    with pytest.raises(UsageError):
        parse_count("7BB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (0, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (3599.6, "1h 00m"), (7500, "2h 05m"), (270_000, "3d 3h")],
)
def test_durations_are_written(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
