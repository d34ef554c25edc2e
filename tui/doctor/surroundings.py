"""What Heft finds around it: GPUs, the hub and the terminal."""

from __future__ import annotations

import locale
import os
import shutil
import socket
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

from tui.doctor.check import Check
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import bytes_text


def check_gpu(paths: Paths) -> Iterable[Check]:
    """What NVML says."""
    from tui.hardware.probe import Probe

    probe = Probe(paths)
    try:
        snapshot = probe.snapshot()
    finally:
        probe.close()
    for gpu in snapshot.gpus:
        state = "problem" if gpu.error else "ok"
        words = gpu.error or f"{gpu.name}, {bytes_text(gpu.free)} of {bytes_text(gpu.total)} free"
        yield Check(f"GPU {gpu.index}", state, clean_line(words))
    if not snapshot.gpus:
        reason = snapshot.gpu_note or "no GPU"
        yield Check("GPU", "warning", clean_line(reason), "models run on the CPU: take small ones")


def token_place() -> str:
    """Where the hub's token comes from, in words; empty when there is none."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    token_file = Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser()
    if os.environ.get("HF_TOKEN"):
        return "set by HF_TOKEN"
    return f"stored in {token_file}" if token_file.is_file() else ""


def check_hub() -> Iterable[Check]:
    """The token, by presence only, and whether the hub can be reached."""
    if place := token_place():
        yield Check("hub token", "ok", place)
    else:
        yield Check("hub token", "warning", "none; gated models need one", "hf auth login, or set HF_TOKEN")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        yield Check("hub", "warning", "HF_HUB_OFFLINE is set: nothing is fetched", "unset it to download")
        return
    url = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=5).close()
    except OSError as error:
        words = clean_line(f"{url.hostname} cannot be reached: {error}")
        yield Check("hub", "warning", words, "the starter and what is on this disk work without it")
    else:
        yield Check("hub", "ok", f"{url.hostname} answers")


def check_terminal() -> Iterable[Check]:
    """What the app will find when it draws."""
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8":
        yield Check("terminal", "warning", f"the locale's encoding is {encoding}", "export LC_ALL=C.UTF-8")
    term = os.environ.get("TERM", "")
    if not term or term == "dumb":
        yield Check("terminal", "warning", f"TERM is {term!r}", "the app needs a terminal; the commands do not")
        return
    size = shutil.get_terminal_size()
    where = [
        name for name, key in (("tmux", "TMUX"), ("screen", "STY"), ("SSH", "SSH_CONNECTION")) if key in os.environ
    ]
    words = f"{term}, {size.columns}x{size.lines}{', inside ' + ' and '.join(where) if where else ''}"
    small = size.columns < 80 or size.lines < 24
    yield Check("terminal", "warning" if small else "ok", words, "80x24 is the smallest good size" if small else "")
