"""From tokens to text as it may be shown: whole characters, stop strings never shown, thinking kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CONTEXT = 4
"""Tokens before the first one, so that a tokenizer knows whether a word begins with a space."""

_LONGEST_CHARACTER = 4
"""Tokens that one character may be cut into; broken bytes are shown after so many."""

THINK, END_THINK = "<think>", "</think>"


class CharacterStream:
    """Turns token ids into text, holding back a character until all of its bytes are there and never longer."""

    def __init__(self, decode: Callable[[list[int]], str], prompt: Sequence[int] = ()) -> None:
        self._decode = decode
        self._ids = list(prompt[-_CONTEXT:])
        self._shown = len(self._ids)
        self._before = decode(self._ids) if self._ids else ""

    def feed(self, token: int) -> str:
        """Take a token; return the text that is now whole."""
        self._ids.append(token)
        text = self._decode(self._ids)
        if text.endswith("\ufffd") and len(self._ids) - self._shown < _LONGEST_CHARACTER:
            return ""
        return self._show(text)

    def end(self) -> str:
        """What was held back."""
        return self._show(self._decode(self._ids)) if self._shown < len(self._ids) else ""

    def _show(self, text: str) -> str:
        same = 0
        while same < len(self._before) and text[same : same + 1] == self._before[same]:
            same += 1
        piece = text[same:]
        self._ids = self._ids[-_CONTEXT:]
        self._shown = len(self._ids)
        self._before = self._decode(self._ids)
        return piece


@dataclass(frozen=True, slots=True)
class Chance:
    """One token of an answer with the natural logarithm of its chance, and the likeliest ``others`` with theirs."""

    text: str
    logprob: float
    others: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of the answer, or of the thinking before it; ``index`` counts the answers to one request."""

    text: str = ""
    thinking: str = ""
    index: int = 0
    chances: tuple[Chance, ...] = ()


class MarkedText:
    """Looks for stop strings and think marks in text that comes in pieces, wherever the pieces are cut."""

    def __init__(self, stops: Sequence[str], *, may_think: bool = False, thinks: bool = False) -> None:
        self.stopped = False
        self._stops = tuple(stops)
        self._may_think = may_think and not thinks
        self._thinks = thinks
        self._trim = thinks
        self._held = ""

    def feed(self, text: str) -> Piece:
        """Take text; return what can be shown of it."""
        if self.stopped:
            return Piece()
        self._held += text
        return self._scan(final=False)

    def end(self) -> Piece:
        """What was held back and turned out to be no mark."""
        return Piece() if self.stopped else self._scan(final=True)

    def _marks(self) -> tuple[str, ...]:
        if self._thinks:
            return (*self._stops, END_THINK)
        return (*self._stops, THINK) if self._may_think else self._stops

    def _scan(self, *, final: bool) -> Piece:
        shown: dict[bool, list[str]] = {False: [], True: []}
        while True:
            found = [(self._held.find(mark), mark) for mark in self._marks()]
            at, mark = min(((at, mark) for at, mark in found if at >= 0), default=(-1, ""))
            if at < 0:
                kept = 0 if final else self._possible_mark()
                self._take(shown, self._held[: len(self._held) - kept])
                self._held = self._held[len(self._held) - kept :]
                return Piece("".join(shown[False]), "".join(shown[True]))
            if mark == THINK and self._held[:at].strip():
                self._may_think = False  # thinking comes first or not at all
                continue
            self._take(shown, self._held[:at])
            self._held = self._held[at + len(mark) :]
            if mark in self._stops:
                self.stopped = True
                return Piece("".join(shown[False]), "".join(shown[True]))
            self._thinks = mark == THINK
            self._may_think = False
            self._trim = True

    def _take(self, shown: dict[bool, list[str]], text: str) -> None:
        if self._trim:  # models write a line end after each mark
            text = text.lstrip("\n")
        if text:
            self._trim = False
            shown[self._thinks].append(text)
            if text.strip():
                self._may_think = False

    def _possible_mark(self) -> int:
        """Length of the longest end of the held text that may be the beginning of a mark."""
        longest = 0
        for mark in self._marks():
            for size in range(min(len(mark) - 1, len(self._held)), longest, -1):
                if self._held.endswith(mark[:size]):
                    longest = size
                    break
        return longest
