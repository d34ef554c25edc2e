"""What publishers and guides state as the memory of a model, against our estimate.

The stated needs of language models are for 16-bit weights, a short context and answering one request. The notes of the
catalog say where each number comes from.
"""

from __future__ import annotations

import pytest

from tui.catalog.catalog_file import load_catalog
from tui.fit.memory_estimate import estimate

TEXT = ("text", "chat", "code")


def stated(paths, kinds):
    return [model for model in load_catalog(paths).models if model.stated_vram and model.kind in kinds]


def test_language_models_at_16_bit_come_within_12_percent(paths):
    rows = [model for model in stated(paths, TEXT) if model.id != "qwen-1.8b"]
    assert len(rows) >= 8
    for model in rows:
        total = estimate(model, "float16", 2048).total
        assert total == pytest.approx(model.stated_vram, rel=0.12), model.id


def test_qwen_states_its_need_for_4_bit(row):
    """3.0 GB is less than the 16-bit weights alone (3.67 GB); Qwen-1.8B's own table gives 2.9 GB for its Int4 build
    writing 2,048 tokens, so that is what is held against it."""
    model = row("qwen-1.8b")
    assert estimate(model, "float16", 2048).weights > model.stated_vram
    assert estimate(model, "gptq-4bit", 2048).total == pytest.approx(model.stated_vram, rel=0.12)


def test_image_models_are_a_lower_bound_and_say_so(paths):
    rows = stated(paths, ("image-gen",))
    assert rows
    for model in rows:
        numbers = estimate(model, "float16")
        assert numbers.total < model.stated_vram and numbers.kv_cache == 0
        assert any("size of the picture" in note for note in numbers.notes)
