"""The models.toml that ships: whole, by its schema, and saying what its head promises."""

from __future__ import annotations

import csv
import re
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tui.catalog.catalog_file import Catalog, load_catalog, shipped_models_file
from tui.catalog.catalog_rows import parse_rows
from tui.catalog.catalog_schema import API_KEYS, MODEL_KEYS
from tui.catalog.model import Model
from tui.catalog.tasks import KINDS
from tui.paths import Paths


@cache
def shipped_text() -> str:
    return shipped_models_file().read_text(encoding="utf-8")


@pytest.fixture
def catalog(paths: Paths) -> Catalog:
    return load_catalog(paths)


def test_every_row_loads_and_nothing_is_wrong(catalog: Catalog) -> None:
    assert catalog.problems == ()
    assert len(catalog.models) == 327
    assert len({model.id for model in catalog.models}) == 327


def test_it_is_toml_as_a_whole() -> None:
    table = tomllib.loads(shipped_text())
    assert table.keys() == {"model", "licenses", "providers"}
    assert len(table["model"]) == 327


def test_each_key_of_the_schema_is_explained_at_the_top_and_no_other() -> None:
    head = shipped_text().partition("# ---- Licences")[0]
    explained: set[str] = set()
    for line in head.splitlines():
        match = re.match(r"#   ((?:[a-z_]+)(?:, [a-z_]+)*) {1,}", line)
        if match:
            explained |= set(match[1].split(", "))
    assert explained == MODEL_KEYS.keys() | API_KEYS.keys()


def test_allowed_values_are_those_that_the_head_names() -> None:
    head = " ".join(
        line.removeprefix("#").strip() for line in shipped_text().partition("# ---- Licences")[0].splitlines()
    )
    for kind in KINDS:
        assert re.search(rf"\b{kind}\b", head), kind


def test_the_starter_comes_first_and_reads_its_own_numbers(catalog: Catalog) -> None:
    starter = catalog.models[0]
    assert (starter.id, starter.source, starter.unusable_because) == ("heft-starter", "starter", "")
    assert starter.is_local_folder
    assert starter.params and starter.params > 1_000_000
    assert starter.shape.layers and starter.context_length
    assert "params" not in shipped_text().partition('id = "heft-starter"')[2].partition("[[model]]")[0].split("note")[0]


def test_what_cannot_be_used_says_why(catalog: Catalog) -> None:
    for model in catalog.models:
        if not model.repo and model.api is None:
            assert model.unusable_because, model.id
        if model.api is not None and model.api.retired:
            assert model.unusable_because.startswith("retired on"), model.id
            assert model.api.replacement, model.id
    assert sum(bool(model.unusable_because) for model in catalog.models) == 34


def test_prices_are_dated_and_reachable_apis_have_an_address_and_a_key_variable(catalog: Catalog) -> None:
    priced = [model.api for model in catalog.models if model.api and model.api.price_in is not None]
    assert len(priced) == 24
    assert all(api.price_date and api.price_source and api.price_out is not None for api in priced)
    for model in catalog.models:
        if model.api and not model.api.retired:
            assert model.api.base_url.startswith("https://") and model.api.key_env.endswith("_API_KEY"), model.id
            assert model.api.provider[0].isupper(), model.id


def test_nothing_stands_twice(catalog: Catalog) -> None:
    """No key that others imply: that is how two numbers for one thing come to differ."""
    for row in parse_rows(shipped_text(), "models.toml").rows:
        if row.get("dtype") in ("float32", "float16", "bfloat16"):
            assert "weights_gb" not in row, row["id"]
        assert row.get("kv_heads") != row.get("attention_heads") or "kv_heads" not in row, row["id"]
        assert row.get("kv_layers") != row.get("layers") or "kv_layers" not in row, row["id"]


def test_numbers_agree_with_known_models(catalog: Catalog) -> None:
    llama = catalog.find("llama-3.1-8b")
    assert llama and llama.params == 8_030_261_248 and llama.weights_bytes == 16_060_522_496
    assert llama.shape.kv_bytes_per_token == 2 * 2 * 32 * 8 * 128
    assert llama.license_url.endswith("llama3_1/LICENSE") and llama.commercial_use == "conditional" and llama.gated
    mxfp4 = catalog.find("gpt-oss-20b")
    assert mxfp4 and mxfp4.weights_bytes == 13_760_000_000
    rwkv = catalog.find("rwkv-4-169m")
    assert rwkv and rwkv.shape.kv_bytes_per_token == 0
    falcon = catalog.find("falcon-7b")
    assert falcon and falcon.shape.kv_heads == 1
    sonnet = catalog.find("claude-3-5-sonnet")
    assert sonnet and sonnet.status == "retired" and "claude-sonnet-5-5" in sonnet.unusable_because


def test_rows_say_where_their_numbers_come_from(catalog: Catalog) -> None:
    for model in catalog.models:
        assert model.facts_source and model.confidence in ("verified", "known"), model.id
        assert model.vendor and model.family and (model.strengths or model.limitations), model.id
        for text in (model.note, model.strengths, model.limitations, model.facts_source, model.dataset):
            assert not re.search(r"\bdocuments?\b", text), model.id


def test_rows_are_grouped_by_family() -> None:
    families = [row["family"] for row in tomllib.loads(shipped_text())["model"]]
    changes = sum(one != other for one, other in pairwise(families))
    assert changes == len(set(families)) - 1
    for family in set(families):
        assert f"\n# ---- {family} ---" in shipped_text() or family == "Heft", family


DEVIATIONS = {
    ("llama-adapter-7b", "status"): "its weights are not in a repository that can be downloaded",
    ("vit-22b", "kv_layers"): "an encoder keeps no cache",
}
"""Where models.toml knows better than the record, and why."""


def known_rows() -> list[dict[str, str]]:
    """An independent record of every model that the catalog has to hold: what was collected before it was written."""
    with Path(__file__).with_name("known_models.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values_of(model: Model) -> dict[str, object]:
    shape, api = model.shape, model.api
    return {
        **{name: getattr(model, name) for name in ("kind", "status", "params", "active_params", "context_length")},
        **{
            name: getattr(shape, name) for name in ("layers", "kv_layers", "hidden_size", "attention_heads", "kv_heads")
        },
        **{name: getattr(shape, name) for name in ("head_dim", "vocab_size", "sliding_window", "dtype")},
        **{name: getattr(model, name) for name in ("license", "commercial_use", "gated", "released", "repo")},
        "stated_vram_gb": model.stated_vram and model.stated_vram / 1e9,
        **{name: api and getattr(api, name) for name in ("model_id", "price_in", "price_out", "retired_on")},
    }


def test_every_row_holds_what_was_collected(catalog: Catalog) -> None:
    rows = known_rows()
    assert len(rows) == 326 and {row["id"] for row in rows} == {model.id for model in catalog.models} - {"heft-starter"}
    differ = []
    for row in rows:
        model = catalog.find(row["id"])
        assert model is not None
        for name, value in values_of(model).items():
            known = row[name]
            if known == "" or (row["id"], name) in DEVIATIONS:
                continue  # what the record does not know, the catalog may know
            if isinstance(value, bool):
                same = known == ("yes" if value else "no")
            elif isinstance(value, int | float):
                same = float(known) == pytest.approx(value)
            else:
                same = known == (value or "")
            if not same:
                differ.append(f"{row['id']}.{name}: {value!r}, the record says {known!r}")
    assert not differ, "\n".join(differ[:20])
