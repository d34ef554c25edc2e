"""Filters, text and order, on the catalog that ships and on made-up lists."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Api, Model, ModelFilter
from tui.catalog.search import SORT_KEYS, search
from tui.catalog.tasks import KINDS, kind_of_pipeline, kinds_of_task, pipeline_of_task
from tui.errors import UsageError
from tui.paths import Paths


@cache
def models() -> tuple[Model, ...]:
    nowhere = Path("/nonexistent")
    return load_catalog(Paths(nowhere, nowhere, nowhere, nowhere)).models


def found(**wanted: object) -> list[str]:
    return [model.id for model in search(models(), ModelFilter(**wanted))]  # type: ignore[arg-type]


def test_nothing_wanted_gives_everything_in_the_order_of_the_list() -> None:
    assert search(models(), ModelFilter()) == list(models())
    assert found(limit=1) == ["heft-starter"] and found(limit=0) == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("qwen3-4b", "qwen3-4b"),
        ("QWEN3 4b", "qwen3-4b"),
        ("Qwen/Qwen3-4B", "qwen3-4b"),
        ("openai-community/gpt2", "gpt2"),
        ("gpt2", "gpt2"),
        ("starter", "heft-starter"),
        ("gpt-4", "gpt-4"),
        ("whisper", "whisper-tiny"),
        ("mistral", "mistral-small-2603"),
    ],
)
def test_the_best_match_comes_first(text: str, first: str) -> None:
    hits = found(text=text)
    if text == "mistral":
        assert all(name.startswith("mistral") for name in hits[:5])
    else:
        assert hits[0] == first


def test_order_of_relevance() -> None:
    rows = (
        Model(id="zoo", name="Z", family="Apple pie"),
        Model(id="pineapple", name="P"),
        Model(id="big-apple", name="B"),
        Model(id="apple-retired", name="R", status="retired"),
        Model(id="apple-2", name="A2"),
        Model(id="apple", name="A"),
        Model(id="other", name="O"),
    )
    hits = [model.id for model in search(rows, ModelFilter(text="apple"))]
    assert hits == ["apple", "apple-2", "big-apple", "pineapple", "zoo", "apple-retired"]


def test_every_word_must_be_found_somewhere() -> None:
    hits = search(models(), ModelFilter(text="meta chat 70b"))
    assert hits and all("meta" in model.vendor.lower() and "70b" in model.id and model.kind == "chat" for model in hits)
    assert found(text="meta nosuchword") == []
    assert found(text="mit license whisper") == [] and "whisper-tiny" in found(text="mit whisper")


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("sentence-similarity", "all-minilm-l6-v2"),
        ("asr", "whisper-tiny"),
        ("text-to-image", "sdxl-base-1.0"),
        ("BigScience", "bloom-560m"),
        ("huggyllama", "llama-1-7b"),
        ("instruct", "qwen3-4b"),
    ],
)
def test_text_finds_by_task_word_licence_vendor_and_other_repository(text: str, id_: str) -> None:
    assert id_ in found(text=text)


def test_text_is_never_a_pattern() -> None:
    for text in (".*", "[", "(", "\\", "gpt+", "^g", "\x1b[31m", "a" * 10_000):
        assert isinstance(found(text=text), list)
    assert found(text=".*") == []


def test_tasks_by_kind_synonym_and_pipeline_tag() -> None:
    chat = {model.id for model in models() if model.kind == "chat"}
    assert set(found(task="chat")) == set(found(task="instruct")) == chat
    assert set(found(task="text-generation")) == set(found(task="text")) > chat
    assert "gpt2" in found(task="Text Generation") and "bge-m3" not in found(task="text")
    assert found(task="ASR") == found(task="automatic-speech-recognition") == found(task="speech")
    for kind in KINDS:
        assert kind in kinds_of_task(kind) and found(task=kind), kind
        assert kind_of_pipeline(pipeline_of_task(kind)) in kinds_of_task(kind) | {"text"}
    with pytest.raises(UsageError, match="'frobnicate' is not a task") as caught:
        found(task="frobnicate")
    assert "text-generation" in caught.value.hint


def test_license_family_and_commerce() -> None:
    assert {model.license for model in search(models(), ModelFilter(license="mit"))} == {
        "MIT",
        "MIT (presumed)",
        "Modified MIT",
    }
    assert found(license="apache") == found(license="Apache-2.0") == found(license="apache 2.0") != []
    assert set(found(license="llama2")) == set(found(license="Llama 2")) != set()
    assert {model.license for model in search(models(), ModelFilter(license="cc-by-nc"))} >= {"CC-BY-NC-4.0"}
    assert all("llama" in model.family.lower() for model in search(models(), ModelFilter(family="llama")))
    allowed = search(models(), ModelFilter(commercial=True))
    assert {model.commercial_use for model in allowed} == {"yes", "conditional"}
    assert "opt-125m" not in {model.id for model in allowed}


def test_sizes_and_access() -> None:
    small = search(models(), ModelFilter(min_params=10**8, max_params=10**9))
    assert small and all(model.params and 10**8 <= model.params <= 10**9 for model in small)
    apis = search(models(), ModelFilter(api_only=True))
    assert len(apis) == 25 and all(model.api for model in apis)
    opened = search(models(), ModelFilter(open_only=True))
    assert len(opened) == 283 and "gpt-4" not in {model.id for model in opened}
    assert found(api_only=True, open_only=True) == ["command-r-plus"]


def test_filters_hold_together() -> None:
    hits = search(
        models(), ModelFilter(text="qwen", task="chat", license="apache", max_params=2 * 10**9, sort="params")
    )
    assert [model.id for model in hits][:2] == ["qwen2.5-0.5b-instruct", "qwen3-0.6b"]


@pytest.mark.parametrize("key", SORT_KEYS)
def test_sorting_both_ways_keeps_unknown_values_last(key: str) -> None:
    up, down = search(models(), ModelFilter(sort=key)), search(models(), ModelFilter(sort=f"-{key}"))
    assert {model.id for model in up} == {model.id for model in down} == {model.id for model in models()}
    value = {
        "size": lambda model: model.weights_bytes,
        "context": lambda model: model.context_length,
        "price": lambda model: model.api.price_out if model.api else None,
        "released": lambda model: model.released or None,
        "updated": lambda model: model.updated or None,
        "params": lambda model: model.params,
        "downloads": lambda model: model.downloads,
        "likes": lambda model: model.likes,
    }.get(key, lambda model: getattr(model, key).casefold() or None)
    for hits in (up, down):
        values = [value(model) for model in hits]
        known = [item for item in values if item is not None]
        assert values[: len(known)] == known
        assert known in (sorted(known), sorted(known, reverse=True))
    if len({value(model) for model in up} - {None}) > 1:
        assert value(up[0]) != value(down[0])


def test_natural_directions_and_other_spellings() -> None:
    params = [model.params for model in search(models(), ModelFilter(sort="params", limit=3))]
    assert params == sorted(params)  # type: ignore[type-var]
    newest = search(models(), ModelFilter(sort="released", limit=1))[0].released
    assert newest == max(model.released for model in models())
    assert found(sort="context_length") == found(sort="Context")
    with pytest.raises(UsageError, match="not a sort key") as caught:
        found(sort="beauty")
    assert "params" in caught.value.hint


def test_a_list_may_change_between_questions() -> None:
    rows = [Model(id="one", name="One")]
    assert len(search(rows, ModelFilter(text="one"))) == 1
    rows.append(Model(id="one-more", name="One more", api=Api("p", "m", "http://x/v1")))
    assert len(search(rows, ModelFilter(text="one"))) == 2
    first, second = tuple(rows), (*rows, Model(id="one-third", name="Third"))
    for _ in range(2):
        assert len(search(first, ModelFilter(text="one"))) == 2
        assert len(search(second, ModelFilter(text="one"))) == 3
