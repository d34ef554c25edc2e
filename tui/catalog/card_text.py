"""The Markdown of a model card made plain: front matter apart, no HTML, no controls, sections found by their headings.

Cards are written by anybody. Everything here is linear in the length of the text, and the length is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tui.plain_text import clean, clean_line

TEXT_LIMIT = 300_000
"""Characters of a card that are kept."""

FRONT_MATTER_LIMIT = 64_000
_FRONT_MATTER_NODES = 5_000

SECTIONS: dict[str, tuple[str, ...]] = {
    "intended_use": ("intended use", "uses", "use cases", "direct use", "intended purpose", "what it is for"),
    "training_data": ("training data", "training dataset", "pretraining data", "pre-training data", "data sources"),
    "limitations": ("limitation", "out-of-scope", "caveats", "known issues", "risks"),
    "bias": ("bias", "ethical", "responsib", "fairness", "safety"),
    "evaluation": ("evaluation", "benchmark", "results", "metrics", "performance"),
    "license": ("license", "licence", "terms of use"),
    "how_to_use": ("how to use", "usage", "quickstart", "quick start", "getting started", "get started", "inference"),
}
"""Which words in a heading make a section of which name."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BREAK = re.compile(r"<(?:br|hr|/p|/div|/li|/tr|/h[1-6])[ \t]*/?>", re.IGNORECASE)
_ANCHOR = re.compile(
    r"<a\s[^<>]{0,400}?href=[\"'](https?://[^\"'<>\s]{1,400})[\"'][^<>]{0,400}>([^<]{0,400})</a>", re.I
)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]{0,1000})?/?>")
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,200})\]\([^()\n]{0,1000}\)")
_EMPTY_LINK = re.compile(r"\[\s{0,20}\]\([^()\n]{0,1000}\)")
_FOREIGN = r"(?=[ \t]*<?[A-Za-z][A-Za-z0-9+.-]{0,30}:)(?![ \t]*<?(?:https?|mailto):)"
_FOREIGN_LINK = re.compile(r"\]\(" + _FOREIGN, re.IGNORECASE)
_FOREIGN_REFERENCE = re.compile(r"^( {0,3}\[[^\[\]\n]{1,200}\]):" + _FOREIGN, re.IGNORECASE | re.MULTILINE)
_FOREIGN_AUTOLINK = re.compile(r"<(?=[A-Za-z][A-Za-z0-9+.-]{1,30}:)(?!https?:|mailto:)", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Split a card into its YAML front matter (empty when absent or broken) and the text after it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}, text
    end = text.find("\n---", 3, FRONT_MATTER_LIMIT)
    if end < 0:
        return {}, text
    rest = text[end + 4 :].partition("\n")[2]
    return _read_yaml(text[4 : end + 1]), rest


def clean_markdown(text: str) -> str:
    """Return ``text`` as Markdown without HTML, images and controls; only links to web pages and mail stay links."""
    text = clean(text[:TEXT_LIMIT])
    plain: list[str] = []
    for is_code, lines in _blocks(text):
        block = "\n".join(lines)
        plain.append(block if is_code else _without_html(block))
    return _BLANK_LINES.sub("\n\n", "\n".join(plain)).strip() + "\n"


def find_sections(text: str) -> dict[str, str]:
    """Return the sections of clean Markdown by the names in ``SECTIONS``; each ends at the next heading of its level
    or above. Where several headings match, their texts follow each other."""
    headings: list[tuple[int, int, str]] = []
    lines = text.split("\n")
    number = 0
    for is_code, block in _blocks(text):
        for line in block:
            heading = None if is_code else heading_of(line)
            if heading is not None:
                headings.append((number, *heading))
            number += 1
    found: dict[str, list[str]] = {}
    for name, words in SECTIONS.items():
        covered = 0
        for position, (start, level, title) in enumerate(headings):
            if start < covered or not any(word in title for word in words):
                continue
            if level == 1 and position == 0:
                continue  # the title of the card
            later = (line for line, other, _ in headings[position + 1 :] if other <= level)
            covered = next(later, len(lines))
            body = "\n".join(lines[start + 1 : covered]).strip()
            if body:
                found.setdefault(name, []).append(body)
    return {name: "\n\n".join(bodies) for name, bodies in found.items()}


def heading_of(line: str) -> tuple[int, str] | None:
    """The level (1 to 6) and the title, in lower case, of a line that is a heading; "#" at its end is no title."""
    match = _HEADING.match(line)
    # stripped here: a pattern that also takes "#" off the end tries each place of a long row of them
    return None if match is None else (len(match[1]), match[2].rstrip("#").rstrip(" \t").casefold())


def _blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    fence = ""
    block: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not match:
            block.append(line)
        elif not fence:
            yield False, block
            fence, block = match[1], [line]
        elif match[1].startswith(fence) and not line.strip().strip(fence[0]):
            yield True, [*block, line]
            fence, block = "", []
        else:
            block.append(line)
    yield bool(fence), block


def _without_html(text: str) -> str:
    text = _COMMENT.sub("", text)
    text = _BREAK.sub("\n", text)
    text = _ANCHOR.sub(r"[\2](\1)", text)
    text = _TAG.sub("", text)
    text = _IMAGE.sub(r"\1", text)
    text = _EMPTY_LINK.sub("", text)
    # Links to anything but web pages and mail are broken up, so that they can be read but not followed.
    text = _FOREIGN_LINK.sub("] (", text)
    text = _FOREIGN_REFERENCE.sub(r"\1 :", text)
    return _FOREIGN_AUTOLINK.sub("< ", text)


def _read_yaml(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        table = yaml.safe_load(text)
        cleaned = _cleaned(table, [_FRONT_MATTER_NODES])
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        return {}
    return cleaned if isinstance(cleaned, dict) else {}


def _cleaned(value: Any, left: list[int]) -> Any:
    # ``left`` bounds the walk, because YAML aliases can stand for far more than was written.
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("the front matter is too large")
    if isinstance(value, dict):
        return {clean_line(str(key), 100): _cleaned(item, left) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, left) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean_line(str(value), 2000)
