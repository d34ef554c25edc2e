"""Quantizing while loading: where it works, and the reason where it does not."""

from __future__ import annotations

import pytest

from tui.fit import load_time as module
from tui.fit.load_time import LOAD_TIME, load_time, why_not


def test_sixteen_bits_can_be_loaded_in_every_way() -> None:
    for way in LOAD_TIME:
        for precision in ("float16", "bfloat16", "float32", ""):
            assert why_not(way, precision, "llama", "x86_64") == ""


def test_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    int8, nf4, ao = (load_time(name) for name in ("int8", "nf4", "torchao-int8"))
    assert int8 and nf4 and ao
    assert "quantized already (gptq-4bit-g128)" in why_not(nf4, "gptq-4bit-g128")
    assert "no kernels for riscv64" in why_not(int8, "float16", "llama", "riscv64")
    assert why_not(ao, "float16", "llama", "riscv64") == ""
    assert "RWKV divides" in why_not(ao, "float16", "rwkv")
    assert why_not(int8, "float16", "rwkv", "x86_64") == ""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "pip install torchao" in why_not(ao, "float16")
    assert load_time("int3") is None
