"""Pictures of a screen of cells: SVG as text that can be compared, PNG and an animation drawn by Pillow.

Box and block characters are drawn as shapes, so that frames and bars join whatever the font; the rest is text in one
monospaced font. The same screen always gives the same bytes, in any process.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.color import ColorType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.app import App

WIDE, HIGH = 10, 20
"""A cell in units of the SVG, and in pixels at scale 1."""
MARGIN = 12
FONTS = {
    (False, False): "DejaVuSansMono.ttf",
    (True, False): "DejaVuSansMono-Bold.ttf",
    (False, True): "DejaVuSansMono-Oblique.ttf",
    (True, True): "DejaVuSansMono-BoldOblique.ttf",
}
TERMINAL = TerminalTheme(
    (17, 20, 23),
    (214, 211, 203),
    [(40, 44, 52), (205, 88, 80), (120, 170, 90), (200, 150, 70), (90, 140, 200), (170, 120, 190), (90, 170, 180),
     (200, 200, 195)],
    [(110, 116, 124), (240, 120, 110), (160, 210, 120), (240, 190, 100), (130, 180, 240), (210, 160, 230),
     (130, 210, 220), (250, 250, 245)],
)  # fmt: skip
"""What the 16 colours of a terminal look like in a picture, where a screen uses them."""


class Look(NamedTuple):
    """How a run of cells looks; colours are "#rrggbb"."""

    front: str
    back: str
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False


class Run(NamedTuple):
    """Neighbouring cells of one look: the first column, the cells they take, their text."""

    column: int
    cells: int
    text: str
    look: Look


@dataclass(frozen=True)
class Picture:
    """A screen as rows of runs."""

    columns: int
    rows: tuple[tuple[Run, ...], ...]

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        return "\n".join("".join(run.text for run in row).rstrip() for row in self.rows)

    @cached_property
    def back(self) -> str:
        """The colour that surrounds the screen: the one that most of it has."""
        found: Counter[str] = Counter()
        for row in self.rows:
            for run in row:
                found[run.look.back] += run.cells
        return found.most_common(1)[0][0]


def picture_of(app: App[Any]) -> Picture:
    """What is on the app's screen now, as it would be written: dialogs over panes, filters applied."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=False)
    size = app.size
    rows = []
    for strips in update.strips:  # type: ignore[union-attr]
        segments = [segment for strip in strips for segment in strip]
        for line_filter in app.get_line_filters():
            segments = line_filter.apply(segments, app.screen.styles.background)
        rows.append(segments)
    return picture_of_segments(rows[: size.height], size.width)


def picture_of_ansi(text: str, columns: int) -> Picture:
    """A picture of what a terminal captured, such as ``tmux capture-pane -e -p``."""
    decoder = AnsiDecoder()
    lines = [decoder.decode_line(row) for row in text.rstrip("\n").split("\n")]
    from rich.console import Console

    console = Console(width=columns, color_system="truecolor", force_terminal=True)
    rows = [[segment for segment in line.render(console) if not segment.control] for line in lines]
    return picture_of_segments([[s for s in row if s.text != "\n"] for row in rows], columns)


def picture_of_segments(rows: Sequence[Iterable[Segment]], columns: int) -> Picture:
    """A picture of rows of segments; neighbours of one look are joined."""
    found = []
    for segments in rows:
        runs: list[Run] = []
        column = 0
        for text, style, control in segments:
            if control or not text:
                continue
            look, cells = _look(style or Style.null()), cell_len(text)
            if runs and runs[-1].look == look:
                last = runs.pop()
                runs.append(Run(last.column, last.cells + cells, last.text + text, look))
            else:
                runs.append(Run(column, cells, text, look))
            column += cells
        if column < columns:
            runs.append(Run(column, columns - column, " " * (columns - column), _look(Style.null())))
        found.append(tuple(runs))
    return Picture(columns, tuple(found))


@lru_cache(2048)
def _look(style: Style) -> Look:
    front, back = _triplet(style, True), _triplet(style, False)
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = tuple((3 * one + 2 * other) // 5 for one, other in zip(front, back, strict=True))  # type: ignore[assignment]
    return Look(
        _hex(front), _hex(back), bool(style.bold), bool(style.italic), bool(style.underline), bool(style.strike)
    )


def _triplet(style: Style, foreground: bool) -> tuple[int, int, int]:
    color = style.color if foreground else style.bgcolor
    if color is None or color.type is ColorType.DEFAULT:
        return tuple(TERMINAL.foreground_color if foreground else TERMINAL.background_color)  # type: ignore[return-value]
    return tuple(color.get_truecolor(TERMINAL, foreground))  # type: ignore[return-value]


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


# Shapes: what joins from cell to cell. Coordinates are shares of a cell.

_ARMS = {
    "─": "lr", "│": "ud", "╭": "dr", "╮": "dl", "╯": "ul", "╰": "ur", "┌": "dr", "┐": "dl", "└": "ur", "┘": "ul",
    "├": "udr", "┤": "udl", "┬": "lrd", "┴": "lru", "┼": "lrud", "━": "LR", "┃": "UD", "╸": "L", "╺": "R", "╼": "lR",
    "╾": "Lr", "╴": "l", "╶": "r", "╵": "u", "╷": "d",
}  # fmt: skip
_EIGHTHS = {chr(0x2580 + n): n for n in range(1, 9)}  # ▁ to █, from below
_LEFTS = {chr(0x2590 - n): n for n in range(1, 8)}  # ▏ to ▉, from the left


def shapes(character: str) -> list[tuple[float, float, float, float]] | None:
    """The rectangles (left, top, right, bottom) that a character is made of; None where the font draws it."""
    if character in _EIGHTHS:
        return [(0, 1 - _EIGHTHS[character] / 8, 1, 1)]
    if character in _LEFTS:
        return [(0, 0, _LEFTS[character] / 8, 1)]
    if character == "▀":
        return [(0, 0, 1, 0.5)]
    if character == "▐":
        return [(0.5, 0, 1, 1)]
    if character == "▔":
        return [(0, 0, 1, 0.125)]
    if character == "▕":
        return [(0.875, 0, 1, 1)]
    if character in ("╌", "┄", "┈"):
        count = {"╌": 2, "┄": 3, "┈": 4}[character]
        return [((n + 0.2) / count, 0.475, (n + 0.8) / count, 0.525) for n in range(count)]
    if 0x2800 <= ord(character) <= 0x28FF:
        bits = ord(character) - 0x2800
        spots = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
        return [
            (0.14 + 0.5 * x, 0.06 + 0.25 * y, 0.36 + 0.5 * x, 0.17 + 0.25 * y)
            for bit, (x, y) in enumerate(spots)
            if bits >> bit & 1
        ]
    if character in _ARMS:
        return [_arm(arm) for arm in _ARMS[character]]
    return None


def _arm(arm: str) -> tuple[float, float, float, float]:
    thick = 0.055 if arm.islower() else 0.12
    x, y = thick * HIGH / WIDE / 2, thick / 2
    return {
        "l": (0, 0.5 - y, 0.5 + x, 0.5 + y),
        "r": (0.5 - x, 0.5 - y, 1, 0.5 + y),
        "u": (0.5 - x, 0, 0.5 + x, 0.5 + y),
        "d": (0.5 - x, 0.5 - y, 0.5 + x, 1),
    }[arm.lower()]


# SVG


def svg_of(picture: Picture) -> str:
    """The picture as SVG: rectangles, one text per run, one path per colour of shapes."""
    looks: dict[tuple[str, bool, bool, bool, bool], str] = {}
    parts: list[str] = []
    back = picture.back
    for y, row in enumerate(picture.rows):
        for run in row:
            if run.look.back != back:
                parts.append(
                    f'<rect x="{run.column * WIDE}" y="{y * HIGH}" width="{run.cells * WIDE}" height="{HIGH}"'
                    f' fill="{run.look.back}"/>'
                )
    for y, row in enumerate(picture.rows):
        for run in row:
            parts.extend(_run_svg(run, y, looks))
    width, height = picture.columns * WIDE + 2 * MARGIN, len(picture.rows) * HIGH + 2 * MARGIN
    rules = "".join(f".{name}{{{_css(*key)}}}" for key, name in looks.items())
    family = "'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f"<style>text{{font:16.6px {family};white-space:pre}}{rules}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{picture.back}"/>\n'
        f'<g transform="translate({MARGIN},{MARGIN})">\n' + "\n".join(parts) + "\n</g>\n</svg>\n"
    )


def _css(front: str, bold: bool, italic: bool, underline: bool, strike: bool) -> str:
    lines = " ".join(word for word, on in (("underline", underline), ("line-through", strike)) if on)
    return (
        f"fill:{front}"
        + (";font-weight:bold" if bold else "")
        + (";font-style:italic" if italic else "")
        + (f";text-decoration:{lines}" if lines else "")
    )


def _run_svg(run: Run, y: int, looks: dict[tuple[str, bool, bool, bool, bool], str]) -> list[str]:
    parts: list[str] = []
    path: list[str] = []
    look = run.look
    for start, piece, drawn in _pieces(run):
        if drawn:
            for left, top, right, bottom in shapes(piece) or ():
                x0, x1 = round((start + left) * WIDE, 2), round((start + right) * WIDE, 2)
                y0, y1 = round((y + top) * HIGH, 2), round((y + bottom) * HIGH, 2)
                path.append(f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z")
            continue
        name = looks.setdefault((look.front, *look[2:]), f"c{len(looks)}")
        length = f' textLength="{cell_len(piece) * WIDE}"'
        parts.append(f'<text class="{name}" x="{start * WIDE}" y="{y * HIGH + 15}"{length}>{escape(piece)}</text>')
    if path:
        parts.append(f'<path fill="{look.front}" d="{_joined(path)}"/>')
    return parts


def _joined(path: list[str]) -> str:
    """Neighbouring rectangles of one height as one, so that no seam shows and the file stays small."""
    found: list[str] = []
    pattern = re.compile(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H[\d.]+Z")
    last: tuple[str, str, str, str] | None = None
    for part in path:
        match = pattern.fullmatch(part)
        assert match is not None
        x0, y0, x1, y1 = match.groups()
        if last and (last[1], last[3]) == (y0, y1) and float(x0) <= float(last[2]):
            x0 = last[0]
            found.pop()
        last = (x0, y0, x1, y1)
        found.append(f"M{x0} {y0}H{x1}V{y1}H{x0}Z")
    return "".join(found)


def _pieces(run: Run) -> Iterable[tuple[int, str, bool]]:
    """Words and shapes of a run with their columns; blanks are left out."""
    column, word, start = run.column, "", run.column
    for character in run.text:
        size = cell_len(character)
        drawn = shapes(character) is not None
        if drawn or character == " " or size != 1 or not character.isascii():
            if word:
                yield start, word, False
            word = ""
            if character != " ":
                yield column, character, drawn
        else:
            if not word:
                start = column
            word += character
        column += size
    if word:
        yield start, word, False


# PNG and animations


@lru_cache(16)
def _font(bold: bool, italic: bool, scale: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(FONTS[bold, italic], 16.6 * scale)


def image_of(picture: Picture, scale: int = 2) -> Any:
    """The picture as an image of Pillow."""
    from PIL import Image, ImageDraw

    size = ((picture.columns * WIDE + 2 * MARGIN) * scale, (len(picture.rows) * HIGH + 2 * MARGIN) * scale)
    image = Image.new("RGB", size, picture.back)
    draw = ImageDraw.Draw(image)
    for y, row in enumerate(picture.rows):
        for run in row:
            left, top = MARGIN + run.column * WIDE, MARGIN + y * HIGH
            box = (left * scale, top * scale, (left + run.cells * WIDE) * scale - 1, (top + HIGH) * scale - 1)
            draw.rectangle(box, fill=run.look.back)
    for y, row in enumerate(picture.rows):
        for run in row:
            _draw_run(draw, run, y, scale)
    return image


def _draw_run(draw: Any, run: Run, y: int, scale: int) -> None:
    look, top = run.look, MARGIN + y * HIGH
    font = _font(look.bold, look.italic, scale)
    for start, piece, drawn in _pieces(run):
        left = MARGIN + start * WIDE
        if not drawn:
            for offset, character in enumerate(piece):
                draw.text(((left + offset * WIDE) * scale, (top + 2.2) * scale), character, fill=look.front, font=font)
            if look.underline or look.strike:
                at = (top + (17.5 if look.underline else 10.5)) * scale
                draw.rectangle((left * scale, at, (left + len(piece) * WIDE) * scale - 1, at + scale - 1), look.front)
            continue
        for x0, y0, x1, y1 in shapes(piece) or ():
            first = [math.floor((left + x0 * WIDE) * scale), math.floor((top + y0 * HIGH) * scale)]
            last = [math.floor((left + x1 * WIDE) * scale) - 1, math.floor((top + y1 * HIGH) * scale) - 1]
            draw.rectangle((*first, max(first[0], last[0]), max(first[1], last[1])), look.front)


def save_png(picture: Picture, path: Path, scale: int = 0) -> None:
    """Write the picture as PNG with few colours; wide screens at scale 1 (``scale`` 0: chosen so)."""
    image = image_of(picture, scale or (1 if picture.columns > 130 else 2))
    image.quantize(128, dither=0).save(path, optimize=True)


def save_animation(frames: Sequence[tuple[Picture, float]], path: Path, scale: int = 1) -> None:
    """Write frames, each with the seconds it stands, as an animated picture that loops."""
    from PIL import Image

    whole = [image_of(picture, scale) for picture, _ in frames]
    some = whole[:: max(1, len(whole) // 8)]
    sheet = Image.new("RGB", (whole[0].width, whole[0].height * len(some)))
    for number, image in enumerate(some):
        sheet.paste(image, (0, number * image.height))
    colors = sheet.quantize(128, dither=0)  # one palette for all, so that only what changes is stored
    images = [image.quantize(palette=colors, dither=0) for image in whole]
    times = [int(seconds * 1000) for _, seconds in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0, optimize=False)
