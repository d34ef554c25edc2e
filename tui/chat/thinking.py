"""Thinking that a server leaves inside the text: ``<think>`` at the very beginning of an answer, up to ``</think>``.

Only there: the same words later in an answer are part of what is said.
"""

from __future__ import annotations

OPENING, CLOSING = "<think>", "</think>"


class ThinkingSplitter:
    """Takes the text of an answer piece by piece and tells thinking from saying."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "begins"
        self._fresh = False

    def feed(self, piece: str) -> tuple[str, str]:
        """What of ``piece`` (and of what was held back) is said, and what is thought."""
        if self._state == "says":
            return self._without_first_breaks(piece), ""
        held = self._held + piece
        self._held = ""
        if self._state == "begins":
            begun = held.lstrip()
            if begun.startswith(OPENING):
                self._state, held, self._fresh = "thinks", begun.removeprefix(OPENING), True
            elif OPENING.startswith(begun):  # also when nothing but white space has come
                self._held = held
                return "", ""
            else:
                self._state = "says"
                return held, ""
        thought, closing, rest = held.partition(CLOSING)
        if closing:
            thought = self._without_first_breaks(thought)
            self._state, self._fresh = "says", True
            return self._without_first_breaks(rest), thought
        keep = next((size for size in range(len(CLOSING) - 1, 0, -1) if held.endswith(CLOSING[:size])), 0)
        self._held = held[len(held) - keep :]
        return "", self._without_first_breaks(held[: len(held) - keep])

    def end(self) -> tuple[str, str]:
        """What was held back."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinks" else (held, "")

    def _without_first_breaks(self, text: str) -> str:
        """``text`` without the line breaks that follow a mark."""
        if self._fresh:
            text = text.lstrip("\n")
            self._fresh = not text
        return text
