from __future__ import annotations

from dataclasses import replace

from tui.catalog.model import Api, Model
from tui.fit.verdict import Fit, Verdict
from tui.ui.catalog_index import CatalogIndex, Wanted, next_reach, next_sort, next_task, turned

MODELS = [
    Model(id="gone", name="Gone", status="retired", source="catalog"),
    Model(id="qwen", name="Qwen3 8B", repo="Qwen/Qwen3-8B", vendor="Alibaba", params=8, kind="chat",
          commercial_use="yes", license="Apache-2.0"),
    Model(id="gemma", name="Gemma 3", repo="google/gemma-3", vendor="Google", params=4, kind="multimodal",
          commercial_use="conditional"),
    Model(id="mixtral", name="Mixtral", repo="mistralai/x", params=47, kind="chat", commercial_use="no"),
    Model(id="gpt", name="GPT", vendor="OpenAI", kind="chat", api=Api("OpenAI", "gpt", "https://x")),
    Model(id="heft-starter", name="Heft Starter", repo="/starter", source="starter", params=1, kind="chat"),
]  # fmt: skip
FITS = {
    "qwen": Fit(1, 1, 1, 3, 9, 9, Verdict.FITS, ""),
    "mixtral": Fit(1, 1, 1, 3, 1, 1, Verdict.DOES_NOT_FIT, ""),
}


def seen(wanted: Wanted, installed: frozenset[str] = frozenset()) -> list[str]:
    return [model.id for model in CatalogIndex(MODELS).visible(wanted, installed, FITS)]


def test_the_starter_comes_first_and_what_nobody_can_use_last() -> None:
    assert seen(Wanted())[0] == "heft-starter"
    assert seen(Wanted())[-1] == "gone"


def test_all_words_must_be_found_anywhere_in_any_case() -> None:
    assert seen(Wanted(text="QWEN apache")) == ["qwen"]
    assert seen(Wanted(text="google")) == ["gemma"]
    assert seen(Wanted(text="nothing like it")) == []


def test_narrowing_and_widening_a_text_gives_what_a_fresh_search_gives() -> None:
    index = CatalogIndex(MODELS)
    for text in ("g", "ge", "gem", "ge", "g", "", "q", "qw", "m x", "m", "mi"):
        found = [model.id for model in index.visible(Wanted(text=text), frozenset(), {})]
        assert found == seen(Wanted(text=text)), text


def test_chips_hold_together() -> None:
    assert seen(Wanted(reach="api")) == ["gpt"]
    assert "gpt" not in seen(Wanted(reach="open"))
    assert seen(Wanted(commercial=True)) == ["qwen", "gemma"]
    assert seen(Wanted(fits=True)) == ["qwen"]
    assert seen(Wanted(installed=True), frozenset({"google/gemma-3"})) == ["gemma"]
    assert seen(Wanted(task="chat", commercial=True)) == ["qwen"]


def test_orders() -> None:
    assert seen(Wanted(sort="largest"))[0] == "mixtral"
    assert seen(Wanted(sort="smallest"))[0] == "heft-starter"
    assert seen(Wanted(sort="best fit"))[0] == "qwen"
    assert seen(Wanted(sort="name"))[0] == "gemma"


def test_keys_go_round() -> None:
    assert [next_reach(Wanted(reach=reach)).reach for reach in ("", "open", "api")] == ["open", "api", ""]
    assert next_task(Wanted(task="b"), ["a", "b"]).task == ""
    assert next_task(Wanted(), ["a", "b"]).task == "a"
    assert next_sort(Wanted()).sort == "name"
    assert turned(turned(Wanted(), "fits"), "fits") == Wanted()
    assert replace(Wanted(), sort="name").is_plain
