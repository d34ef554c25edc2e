"""Foreign text made harmless. Model output, cards, names, logs and process titles pass through here at the boundary.

Removed are C0 controls (but newline and tab), DEL, C1 controls and the bidirectional controls that can make text read
otherwise than it is stored; each becomes U+FFFD, so nothing vanishes silently.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LINE_ENDS = re.compile("\r\n?")
_SECRETS = re.compile(
    r"\b(hf_|gsk_|ghp_|gho_)[A-Za-z0-9]{8,}|\b(github_pat_|xox[abp]-|AIza)[A-Za-z0-9_-]{8,}"
    r"|\b(sk-|pk-|AKIA)[A-Za-z0-9_-]{12,}"
    r"|(?i:\b(bearer\s+|basic\s+)[A-Za-z0-9._~+/=-]{6,})"
    r"|(?i:\b((?:[a-z0-9_.-]*(?:token|api[_-]?key|secret|password|passwd))[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&)]{6,})"
    r"|(://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_SECRET_NAMES = ("TOKEN", "API_KEY", "APIKEY", "SECRET", "PASSWORD", "_KEY")


def clean(text: str) -> str:
    """Return ``text`` without control characters; CR and CRLF become newlines, lone surrogates become U+FFFD."""
    if text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    text = _CONTROLS.sub("\ufffd", text)
    return text.encode("utf-8", "replace").decode("utf-8", "replace")


def clean_line(text: str, limit: int = 500) -> str:
    """Return ``text`` cleaned and folded to one line of at most ``limit`` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """``text`` with tokens, keys and passwords hidden: those that look like one, and the very values of variables of
    ``environment`` (by default the process's own) whose names say that they hold one."""
    text = _SECRETS.sub(lambda match: next((part for part in match.groups() if part), "") + "[hidden]", text)
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= 8 and name.upper().endswith(_SECRET_NAMES) and value in text:
            text = text.replace(value, "[hidden]")
    return text
