"""Whether a model knows a language, from the words of its row: the catalog has no column for it.

A row that names other languages only is refused, one that names many or this one is sure, and the rest is left to a
test by its user.
"""

from __future__ import annotations

import re

from tui.catalog.model import Model

_NAMES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi", "hu": "hungarian", "id": "indonesian",
    "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish",
    "uk": "ukrainian", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
_EUROPEAN = frozenset(
    ("cs", "da", "de", "el", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pl", "pt", "ro", "sv", "uk")
)
_MANY = re.compile(r"multilingual|\b(\d+)\+? languages", re.IGNORECASE)
_ONLY_ENGLISH = ("Pythia", "GPT-J")
_PAIR = re.compile(r"opus-mt-([a-z]{2})-([a-z]{2})")


def language_code(text: str) -> str:
    """The code of a language given as a code or an English name; what is not known stays as it is, in lower case."""
    word = text.strip().casefold()
    return next((code for code, name in _NAMES.items() if word == name), word.partition("-")[0])


def knows_language(model: Model, language: str) -> bool | None:
    """True or False where the row says so, None where it says nothing."""
    code = language_code(language)
    if pair := _PAIR.search(model.id):
        return code in pair.groups()
    text = f"{model.strengths} {model.limitations} {model.note}"
    lower = text.casefold()
    if _NAMES.get(code, code) in re.findall(r"[a-z]+", lower):
        return True
    if _MANY.search(text):
        return True
    if "european languages" in lower and code in _EUROPEAN:
        return True
    named = [name for name in _NAMES.values() if name in re.findall(r"[a-z]+", lower)]
    if "without english" in lower:
        named = []
    return False if named or model.family.startswith(_ONLY_ENGLISH) else None
