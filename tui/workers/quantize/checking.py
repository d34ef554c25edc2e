"""Runs the check of a saved build in a fresh process, tells how it goes, and judges what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tui.errors import BuildBrokenError
from tui.fit.quantize_plan import Plan
from tui.workers.quantize.probes import ProbeNotes
from tui.workers.quantize.steps import Steps
from tui.workers.reporter import Reporter

POLL_SECONDS = 0.2
HINT = "the build was thrown away; choose another route, or report the model with the job's log"
MISSING_ROOM = "memory ran out while the saved build was checked"


@dataclass(frozen=True, slots=True)
class Request:
    """What to compare: folders of the ``source`` and the ``build``, the noted ``probes``, a file with the ``texts``
    (a JSON list), the compute ``dtype`` and ``device``, ``method``, ``bits`` and ``loader`` of the build, and the file
    for the ``result``."""

    source: str
    build: str
    probes: str
    texts: str
    dtype: str
    device: str
    bits: int
    context: int
    result: str
    method: str = "gptq"
    loader: str = "transformers"


def check_build(
    reporter: Reporter, plan: Plan, making: Path, notes: ProbeNotes, texts: Sequence[str], steps: Steps
) -> dict[str, Any]:
    """Compare ``making`` with what was noted and with the source; returns the figures.

    Raises ``BuildBrokenError`` that says what differs.
    """
    expected = len(plan.linears)
    noted = notes.names()
    if len(noted) != expected:
        reporter.say(f"{len(noted)} layers were quantized, {expected} were expected from the weights' names")
    request = _write_request(reporter, plan, making, notes, texts)
    code, last = _run(reporter, request, steps)
    result = Path(request.result)
    if code != 0 or not result.exists():
        why = MISSING_ROOM if code in (-9, 137) else f"{plan.loader} cannot load it: {last}"
        raise BuildBrokenError(f"the saved build was refused: {why}", HINT)
    verdict: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    reporter.say(f"checked: {json.dumps(verdict)}")
    if verdict["differences"]:
        raise BuildBrokenError(f"the saved build was refused: {'; '.join(verdict['differences'])}", HINT)
    return verdict


def _write_request(reporter: Reporter, plan: Plan, making: Path, notes: ProbeNotes, texts: Sequence[str]) -> Request:
    folder = reporter.folder / "work"
    text_file, result = folder / "texts.json", folder / "verdict.json"
    result.unlink(missing_ok=True)
    text_file.write_text(json.dumps(list(texts)), encoding="utf-8")
    request = Request(
        source=str(plan.source),
        build=str(making),
        probes=str(notes.folder),
        texts=str(text_file),
        dtype=plan.check_dtype,
        device=plan.device,
        bits=plan.recipe.bits,
        context=plan.context,
        result=str(result),
        method=plan.recipe.method,
        loader=plan.loader,
    )
    (folder / "verify.json").write_text(json.dumps(asdict(request)), encoding="utf-8")
    return request


def _run(reporter: Reporter, request: Request, steps: Steps) -> tuple[int, str]:
    # Its errors go through a file of its own, so that the last line can be told; all of it is then put into the log.
    words = Path(request.result).with_name("verify.log")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with words.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tui.workers.verify", str(Path(request.result).with_name("verify.json"))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(writing,),
            env={**os.environ, "HEFT_VERIFY_NEWS": str(writing)},
        )
    os.close(writing)
    try:
        code = _wait(child, reading, steps)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(reading)
    lines = [line for line in words.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    for line in lines:
        reporter.say(f"verify: {line}")
    return code, lines[-1] if lines else f"the check ended with code {code}"


def _wait(child: subprocess.Popen[bytes], reading: int, steps: Steps) -> int:
    while True:
        try:
            code = child.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        steps.reporter.check()
        try:
            news = os.read(reading, 65536).decode(errors="replace").strip().splitlines()
        except BlockingIOError:
            news = []
        steps.tell(f"checking: {news[-1]}" if news else "")
        if code is not None:
            return code
