from __future__ import annotations

import base64
import re
from pathlib import Path

from tui.ui.clipboard import keep_copy, osc52

TEXT = "GPTQ „quantizes“ 日本語\n" * 30


def payload(sequence: str) -> str:
    found = re.search(r"52;c;([A-Za-z0-9+/=]+)", sequence.replace("\x1b\\\x1bP", ""))
    assert found
    return base64.b64decode(found[1]).decode()


def test_a_plain_terminal_gets_the_bare_sequence() -> None:
    assert osc52(TEXT, {}).startswith("\x1b]52;c;")
    assert payload(osc52(TEXT, {})) == TEXT


def test_tmux_gets_it_wrapped_with_doubled_escapes() -> None:
    wrapped = osc52(TEXT, {"TMUX": "/tmp/tmux-0/default,1,0"})
    assert wrapped.startswith("\x1bPtmux;\x1b\x1b]52;c;") and wrapped.endswith("\x1b\\")
    assert payload(wrapped) == TEXT


def test_screen_gets_it_in_short_pieces() -> None:
    wrapped = osc52(TEXT, {"STY": "1.pts"})
    assert all(len(piece) <= 80 for piece in wrapped.split("\x1bP"))
    assert payload(wrapped) == TEXT


def test_the_copy_also_lands_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "copied.txt"
    keep_copy("old", path)
    keep_copy(TEXT, path)
    assert path.read_text() == TEXT
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
