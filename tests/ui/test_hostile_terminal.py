"""Hostile text in every place that shows foreign text, through the real app into a real terminal.

What reaches the terminal is read byte by byte: only the sequences that draw are allowed, whatever names, cards, logs,
answers, errors, processes and files try to say.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_nvml
from tests.catalog.folders import safetensors_bytes, write_model
from tests.heft import Heft
from tests.local_hub import LocalHub
from tests.terminal import Terminal
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import Message
from tui.chat.transcript_store import TranscriptStore
from tui.jobs.job import Failure, JobRequest, Kind, Progress
from tui.jobs.store import Store
from tui.paths import Paths

PIECES = [
    *("\x1b[31mred", "\x1b]52;c;ZXZpbA==\x07", "\x1b]0;owned\x07", "\x1b]8;;file:///etc/passwd\x1b\\x\x1b]8;;\x1b\\"),
    *("\x1bP+q544e\x1b\\", "\x1b[6n", "\x1b[?1049l", "\x1bc", "\x1b_Gq=1;AAAA\x1b\\", "\x1b[2J\x1b[H", "\x9b31m"),
    *("\x9d0;t\x9c", "\x90q", "\x07", "\x08\x08", "\x7f", "\r\n", "\rover", "\x00", "\x0e", "\u202egnp.exe\u202c"),
    *("\u2066x\u2069", "\u200f", "\ufeff", "\u2028", "\t", "[@click=app.quit]x[/]", "[link=file:///x", "[bold red]"),
    *("[/]", "日本語", "👩\u200d👩\u200d👧", "e\u0301\u0301\u0301", "%s{0}$(x)`y`"),
]
DRAWS = re.compile(
    rb"\x1b\[[0-9;:]*[mHABCDGdJK]|\x1b\[\?(?:25|7|1004|1049|2004|2026|2048)[hl]|\x1b\[\?(?:2026|2048)\$p"
    rb"|\x1b\[>[0-9;]*u|\x1b\[<u|\x1b\]22;default\x07|\r\n"  # keyboard, pointer, and the next row of a whole screen
    rb"|\x1b\]9;(?:Heft: )[^\x00-\x1f\x7f]*\x07"  # our own notification
)


def hostile(draw: random.Random, name: str) -> str:
    """A text that begins with ``name``, by which its place is known on screen, and tries several things."""
    return name + "".join(draw.choice(PIECES) for _ in range(4)) + draw.choice(PIECES)


def toml(text: str) -> str:
    """``text`` as a string in TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def obeyed(raw: bytes) -> list[bytes]:
    """What a terminal would obey besides drawing."""
    rest = re.sub(rb"\x1b(?:\[[0-9;?]*)?$", b"", DRAWS.sub(b"", raw))  # the last sequence may still be under way
    text = rest.decode("utf-8", "surrogateescape")
    bad = re.compile("[\x00-\x06\x08-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
    return [
        text[max(0, found.start() - 20) : found.end() + 20].encode("utf-8", "replace") for found in bad.finditer(text)
    ]


@pytest.fixture
def draw() -> random.Random:
    return random.Random(20260314)


@pytest.fixture
def endpoint(draw: random.Random) -> Iterator[TalkingEndpoint]:
    talker = TalkingEndpoint([*PIECES, hostile(draw, "ANSWER"), "\n# H\n```\x1b[0m\n", *PIECES, "\n```\n| a |\n|--|\n"])
    talker.thinking = [*PIECES]
    yield talker
    talker.close()


@pytest.fixture
def machine(tmp_path: Path, draw: random.Random, endpoint: TalkingEndpoint) -> Iterator[Heft]:
    """A home in which every file lies."""
    heft = Heft(tmp_path / "home")
    heft.environment["LAB_KEY"] = "k"
    paths = Paths.from_environment({"HEFT_HOME": str(heft.home)}).prepare()
    folder = write_model(tmp_path / "model-folder")
    (folder / hostile(draw, "FILE").replace("/", "_").replace("\x00", "")).write_text("x")
    (folder / "README.md").write_text(
        "---\nlicense: " + json.dumps(hostile(draw, "CARDLICENCE")) + "\n---\n# " + hostile(draw, "CARD")
        + "\n\n" + "".join(PIECES) + "\n\n| x |\n|---|\n| " + hostile(draw, "CELL") + " |\n\n[l](javascript:x) ![i](file:///x)\n"
    )  # fmt: skip
    fields = ("name", "vendor", "family", "license", "strengths", "limitations", "note", "dataset")
    row = {field: hostile(draw, field.upper()) for field in fields}
    row |= {"id": "bad", "repo": str(folder), "kind": "chat"}
    text = "[[model]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in row.items())
    api = f'[model.api]\nprovider = "lab"\nbase_url = "{endpoint.url}"\nkey_env = "LAB_KEY"\nmodel_id = "t"\n'
    text += f'[[model]]\nid = "talker"\nname = {toml(hostile(draw, "TALKER"))}\n{api}'
    tomllib.loads(text)
    paths.user_models_file.write_text(text)
    name = toml(hostile(draw, "ENDPOINT"))
    paths.settings_file.write_text(
        f'[chat]\nsystem = "s"\n[endpoints.{name}]\nbase_url = "{endpoint.url}"\nmodel = "talker"\n'
        f"[interface]\nkeys = {{ {name} = \"x\" }}\n[{name}]\n"
    )  # fmt: skip
    _builds(paths, draw)
    _jobs(paths, draw)
    _chats(paths, draw)
    yield heft
    heft.end_everything()


def _builds(paths: Paths, draw: random.Random) -> None:
    for number in range(2):
        name = hostile(draw, f"BUILD{number}").replace("/", "_").replace("\x00", "")
        folder = write_model(paths.builds / name, model_type=hostile(draw, "TYPE"))
        (folder / "heft.json").write_text(json.dumps({"model": hostile(draw, "OF"), "repo": hostile(draw, "REPO")}))
    (folder / "model.safetensors").write_bytes(safetensors_bytes({"e": ("F32", [2])})[:-3])


def _jobs(paths: Paths, draw: random.Random) -> None:
    store = Store(paths)
    recipe = {"bits": 4, "group_size": 128, "calibration": hostile(draw, "CAL")}
    ids = [
        store.submit(JobRequest(kind, hostile(draw, f"JOB{number}"), {"repo": hostile(draw, "R"), "recipe": recipe})).id
        for number, kind in enumerate((Kind.DOWNLOAD, Kind.QUANTIZE, Kind.DOWNLOAD, Kind.EVALUATE))
    ]
    store.claim(ids[0], hostile(draw, "DEVICE"))
    store.fail(ids[0], 1, Failure(hostile(draw, "FAILURE"), hostile(draw, "HINT"), hostile(draw, "LOG")))
    store.pause(ids[1])
    store.wait(ids[3], hostile(draw, "BECAUSE"))
    store.claim(ids[2], "")
    store.report(ids[2], 1, Progress(1, 3, "B", message=hostile(draw, "STEP"), details={"x": hostile(draw, "D")}))
    store.finish(ids[2], 1, {"path": hostile(draw, "RESULT"), "bytes": 1})
    for job_id in ids:
        log = store.job(job_id).log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(
            b"".join(piece.encode() for piece in PIECES) + b"\xff\xfe\n" + hostile(draw, "LOGLINE").encode()
        )
    store.pause(ids[3])
    store.close()


def _chats(paths: Paths, draw: random.Random) -> None:
    chats = TranscriptStore(paths.chats)
    for number in range(2):
        kept = chats.start(hostile(draw, "WHO"), title=hostile(draw, f"TITLE{number}"))
        chats.add(kept.id, Message("user", hostile(draw, "QUESTION")))
        chats.add(kept.id, Message("assistant", "\n".join(PIECES), thinking="".join(PIECES), finish_reason="\x1b[5m"))
    chats.close()


SCREENS: list[tuple[tuple[str, ...], str]] = [
    (("1", "/", "NAME", "enter", "enter"), "CARD"),
    (("1", "enter", "tab", "pagedown", "pagedown"), "Card"),
    (("1", "g"), "Get NAME"),
    (("1", "b"), "BUILD0"),
    (("1", "b", "down", "x"), "sure"),
    (("1", "v"), "Kept filters"),
    (("3", "home", "enter"), "asked"),
    (("3", "end", "enter"), "FAILURE"),
    (("3", "end", "l"), "LOGLINE"),
    (("4", "o"), "TITLE"),
    (("4", "p"), "System prompt"),
    (("4", "e"), "ENDPOINT"),
]
"""Keys from the panes to a screen, and what shows that it is there."""


def back(terminal: Terminal) -> None:
    """To the panes: escape until their keys are at the bottom."""
    for _ in range(8):
        with contextlib.suppress(AssertionError):
            if "esc close" not in terminal.wait_for("q quit", seconds=1):
                return
        terminal.press("escape")
    terminal.wait_for("q quit")


def test_nothing_that_a_terminal_obeys_gets_through(machine: Heft, endpoint: TalkingEndpoint, tmp_path: Path) -> None:
    stray = subprocess.Popen(
        ["bash", "-c", f"exec -a $'PROC\\x1b[31m\\x9b5m\\x07' {sys.executable} -c 'import time; time.sleep(600)'"]
    )
    if fake_nvml.compiler():
        library = fake_nvml.build(tmp_path / "nvml")
        gpu = fake_nvml.FakeGpu(used=10**9, name="EVILGPU", processes=(fake_nvml.FakeProcess(stray.pid, 10**9),))
        described = fake_nvml.describe(tmp_path / "gpus", [gpu])
        machine.environment = fake_nvml.environment(library, described, machine.environment)
    terminal = Terminal(machine.environment, columns=140, rows=44)
    try:
        terminal.wait_for("Catalog", "JOB0", seconds=60)
        for keys, sign in SCREENS:
            back(terminal)
            terminal.press(*keys)
            terminal.wait_for(sign, *(["esc "] if sign else []), seconds=20)
            assert not obeyed(bytes(terminal.raw)), f"after {keys}"
        back(terminal)
        terminal.press("1", "/", "ctrl+u", "TALKER", "enter", "c")
        terminal.wait_for("talker")
        terminal.press("hello\x01\x02", "enter")
        terminal.wait_for("ANSWER", seconds=30)
        endpoint.status, endpoint.problem = 500, "PROBLEM" + "".join(PIECES)
        terminal.press("again", "enter")
        terminal.wait_for("PROBLEM", seconds=30)
        terminal.press("escape")
        terminal.wait_for("who answers")
        terminal.press("m")
        terminal.wait_for("Messages")
        assert not obeyed(bytes(terminal.raw))
        assert terminal.is_alive()
        assert "\ufffd" in terminal.text or "\ufffd".encode() in bytes(terminal.raw)
        if fake_nvml.compiler():
            assert b"PROC\xef\xbf\xbd[31m" in re.sub(rb"\x1b\[[0-9;:]*[mHC]", b"", bytes(terminal.raw))
    finally:
        stray.kill()
        stray.wait()
        terminal.close()


def test_names_of_the_hub_and_its_errors(tmp_path: Path, draw: random.Random) -> None:
    with LocalHub() as hub:
        tags = [hostile(draw, f"TAG{number}") for number in range(3)]
        name = hostile(draw, "lab/HUBNAME").replace("\n", "").replace("\x00", "")
        hub.add_repo(name, {"config.json": b"{}", hostile(draw, "F"): b"x"}, tags=tags, pipeline_tag=hostile(draw, "P"))
        hub.add_repo("lab/HUBNAME2", {"config.json": b"{}"}, tags=tags, cardData={"license": hostile(draw, "L")})
        heft = Heft(tmp_path / "home", **hub.environment)
        terminal = Terminal(heft.environment, columns=140, rows=44)
        try:
            terminal.wait_for("Heft Starter", seconds=60)
            terminal.press("h", "HUBNAME")
            terminal.wait_for("HUBNAME2", seconds=30)
            terminal.press("enter", "end", "enter")
            terminal.wait_for("licence", "downloads", seconds=20)
            hub.fault("GET /api/models", "status", code=500)
            terminal.press("escape", "/", "x")
            terminal.wait_for("hub", seconds=20)
            assert not obeyed(bytes(terminal.raw))
            assert terminal.is_alive()
        finally:
            terminal.close()


@pytest.mark.parametrize("attack", [piece for piece in PIECES if obeyed(piece.encode())])
def test_the_reader_of_bytes_finds_what_it_looks_for(attack: str) -> None:
    assert obeyed(b"\x1b[1mfine\x1b[0m " + attack.encode())


def test_the_reader_of_bytes_knows_what_is_fine() -> None:
    assert not obeyed("\x1b[38;2;1;2;3mtext 日本語\x1b[0m\x1b[3;4H\x1b[?25l\x07".encode())
    assert len([piece for piece in PIECES if obeyed(piece.encode())]) > 15
    assert shutil.which("bash")
