"""AMD GPUs read through the real bindings from a fake driver library, and machines where those cannot be read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_nvml import compiler
from tui.hardware.amd_probe import AmdProbe

SOURCE = Path(__file__).with_name("fake_amd_smi.c")
CHILD = """
import dataclasses, json, sys
from tui.hardware.amd_probe import AmdProbe
from tui.hardware.nvidia_probe import NvidiaProbe
from tui.hardware.probe import Probe
print(json.dumps(dataclasses.asdict(Probe(amd=AmdProbe(present=lambda: True)).snapshot())))
"""
bindings = pytest.mark.skipif(
    importlib.util.find_spec("amdsmi") is None or not compiler(), reason="needs amdsmi and a C compiler"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``lib/libamd_smi.so``: every function that the bindings look up, most of them unsupported."""
    folder = tmp_path_factory.mktemp("rocm")
    (folder / "lib").mkdir()
    found = importlib.util.find_spec("amdsmi")
    assert found is not None and found.origin is not None
    wrapper = Path(found.origin).with_name("amdsmi_wrapper.py").read_text(encoding="utf-8")
    names = set(re.findall(r"_libraries\['libamd_smi.so'\]\.(\w+)", wrapper))
    written = set(re.findall(r"^int (amdsmi_\w+)\(", SOURCE.read_text(encoding="utf-8"), re.MULTILINE))
    assert written <= names
    stubs = "\n".join(f"int {name}(void) {{ return 2; }}" for name in sorted(names - written))
    (folder / "stubs.h").write_text(stubs, encoding="utf-8")
    options = ["-shared", "-fPIC", "-O1", "-w", f"-I{folder}", "-o", str(folder / "lib/libamd_smi.so"), str(SOURCE)]
    subprocess.run([compiler(), *options], check=True, capture_output=True)
    return folder


@pytest.fixture
def look(library: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``look(lines...)`` is what a fresh process sees of GPUs described so."""

    def see(*gpus: str, **environment: str) -> dict[str, Any]:
        (tmp_path / "amd.txt").write_text("\n".join(gpus), encoding="utf-8")
        env = {**os.environ, "ROCM_HOME": str(library), "HEFT_FAKE_AMD": str(tmp_path / "amd.txt"), **environment}
        ended = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True, check=True)
        seen: dict[str, Any] = json.loads(ended.stdout)  # nothing but the answer may be printed
        return seen

    return see


@bindings
def test_every_reading_of_an_instinct_card(look):
    seen = look("AMD_Instinct_MI300X 196592 8192 73 61 45 412 750 2100 4121:8000000000 77:500000000")
    (gpu,) = seen["gpus"]
    assert (gpu["name"], gpu["index"]) == ("AMD Instinct MI300X", 0)
    assert (gpu["total"], gpu["used"]) == (196592 * 2**20, 8192 * 2**20)
    assert gpu["free"] == gpu["total"] - gpu["used"]
    assert (gpu["utilisation"], gpu["temperature"], gpu["power"], gpu["power_limit"]) == (73.0, 61.0, 412.0, 750.0)
    assert gpu["clock_mhz"] == 2100 and gpu["uuid"].startswith("eeff75a0")
    assert [(process["pid"], process["used"]) for process in gpu["processes"]] == [(4121, 8 * 10**9), (77, 5 * 10**8)]
    assert seen["driver"] == "AMD 6.12.12" and seen["gpu_note"] == ""


@bindings
def test_what_a_card_does_not_tell_is_none_and_the_others_stay(look):
    bare, lost, fine = look(
        "Radeon 16384 100 -1 -1 44 -1 0 -1", "Radeon -1 0 0 0 0 0 0 0", "Radeon 16384 16384 100 90 80 250 300 2400"
    )["gpus"]
    assert (bare["utilisation"], bare["power"], bare["clock_mhz"]) == (None, None, None)
    assert bare["temperature"] == 44.0
    assert lost["error"] and lost["total"] == 0
    assert fine["free"] == 0 and fine["utilisation"] == 100.0


@bindings
def test_they_are_shown_but_no_job_is_given_one(look):
    (gpu,) = look("MI210 65520 0 0 40 38 50 300 1700")["gpus"]
    assert gpu["hidden"] and "shown only" in gpu["hidden_because"]


@bindings
def test_a_library_that_refuses_is_said_in_words(look):
    seen = look("MI210 65520 0 0 40 38 50 300 1700", HEFT_FAKE_AMD_DENIED="1")
    assert seen["gpus"] == [] and "AMD SMI cannot start" in seen["gpu_note"]


@bindings
def test_no_gpu_behind_a_loaded_driver(look):
    assert "shows no GPU" in look()["gpu_note"]


@bindings
def test_a_missing_library_prints_nothing_and_is_said(look, tmp_path):
    seen = look("MI210 65520 0 0 40 38 50 300 1700", ROCM_HOME=str(tmp_path), ROCM_PATH=str(tmp_path))
    assert seen["gpus"] == [] and "install amd-smi-lib" in seen["gpu_note"]


def test_a_machine_without_the_driver_is_not_told_of_amd():
    probe = AmdProbe(present=lambda: False)
    assert probe.read() == ((), "")
    assert "amdsmi" not in sys.modules


def test_missing_bindings_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install amdsmi" in AmdProbe(present=lambda: True).read()[1]
