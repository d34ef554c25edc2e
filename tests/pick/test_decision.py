"""The decision tree on the shipped catalog: what each answer does, and that every row is accounted for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Model
from tui.errors import UsageError
from tui.fit.verdict import Verdict
from tui.hardware.snapshot import Disk, Gpu, GpuProcess, Host, Snapshot
from tui.paths import Paths
from tui.pick.decision import machine_with, pick
from tui.pick.filters import filter_names
from tui.pick.wishes import Wishes

GB = 10**9
LAPTOP = Snapshot(host=Host(memory_total=16 * GB, memory_available=12 * GB, cpu_count=8))
CARD = machine_with(24 * GB)


@pytest.fixture
def models(paths: Paths) -> Sequence[Model]:
    return load_catalog(paths).models


def ids(models: Sequence[Model], snapshot: Snapshot, **wishes) -> list[str]:
    return [best.model.id for best in pick(models, Wishes(**wishes), snapshot).picks]


def why(models: Sequence[Model], model_id: str, snapshot: Snapshot, **wishes) -> tuple[str, str]:
    rejected = {row.id: row for row in pick(models, Wishes(**wishes), snapshot).rejected}
    return rejected[model_id].filter, rejected[model_id].reason


def test_every_row_is_picked_possible_or_rejected_by_one_named_filter(models):
    for wishes in (Wishes(), Wishes(offline=True, commercial=True, latency="fast", language="de"), Wishes(task="ner")):
        picked = pick(models, wishes, CARD)
        seen = [best.model.id for best in picked.picks] + list(picked.others) + [row.id for row in picked.rejected]
        assert sorted(seen) == sorted(model.id for model in models)
        assert len(picked.picks) == (2 if wishes.task == "ner" else 3)  # spaCy rows are no downloads of ours
        assert {row.filter for row in picked.rejected} <= set(filter_names())
        assert all(row.reason for row in picked.rejected)


def test_rows_that_nobody_can_use_are_out(models):
    for picked in (pick(models, Wishes(task=task), CARD) for task in ("chat", "text", "code", "image-gen", "audio")):
        assert not any(best.model.unusable_because for best in picked.picks)
    assert why(models, "gpt-4", CARD)[0] == "status" and "use" in why(models, "gpt-4", CARD)[1]
    assert why(models, "qwen-7b", CARD)[1].startswith("it needs code from its own repository")
    assert why(models, "heft-starter", CARD)[0] == "task"


@pytest.mark.parametrize("wish", ["privacy", "offline"])
def test_nothing_leaves_where_it_may_not_or_cannot(models, wish):
    picked = pick(models, Wishes(**{wish: True}, performance="best"), CARD)
    assert picked.picks and not any(best.model.is_api for best in picked.picks)
    out = {row.id: row.filter for row in picked.rejected}
    assert out["claude-opus-5-5"] == wish
    assert any("largest local model" in warning for warning in picked.warnings)


def test_offline_is_named_before_privacy_and_the_licence_before_both(models):
    both = {"offline": True, "privacy": True}
    assert why(models, "claude-opus-5-5", CARD, **both)[0] == "offline"
    assert why(models, "qwen2.5-3b-instruct", CARD, commercial=True, **both)[0] == "license"


def test_little_money_prefers_cheap_apis_by_price(models):
    picked = pick(models, Wishes(budget="low"), CARD)
    assert all(best.model.is_api and best.price is not None and best.price < 1 for best in picked.picks)
    assert picked.picks[0].price == min(best.price for best in picked.picks)
    assert any("per 1,000 requests" in reason for reason in picked.picks[0].reasons)


def test_much_money_prefers_weights_of_your_own(models):
    assert not any(best.model.is_api for best in pick(models, Wishes(budget="high"), CARD).picks)


def test_best_puts_the_top_apis_first_and_good_the_middle_class(models):
    best = pick(models, Wishes(performance="best"), CARD).picks
    assert {pick.model.vendor for pick in best} <= {"Anthropic", "OpenAI"}
    good = pick(models, Wishes(performance="good"), CARD).picks
    assert all("7 to 13B" in pick.reasons[0] for pick in good)
    assert all(5e9 < (pick.model.params or 0) < 25e9 for pick in good)


def test_little_money_and_privacy_give_the_largest_that_fits_quantized(models):
    small = pick(models, Wishes(budget="low", privacy=True), machine_with(8 * GB))
    large = pick(models, Wishes(budget="low", privacy=True), machine_with(80 * GB))
    assert all(best.precision.startswith("gptq") for best in small.picks)
    assert all((best.model.params or 0) > 6e9 for best in small.picks)
    assert all((best.model.params or 0) > 60e9 for best in large.picks)
    assert any("low budget and privacy" in warning for warning in small.warnings)


def test_a_fast_first_answer_needs_a_small_model_or_an_api(models):
    picked = pick(models, Wishes(latency="fast", privacy=True), CARD)
    assert all((best.model.params or 0) < 3.5e9 for best in picked.picks)
    assert why(models, "qwen3-8b", CARD, latency="fast")[0] == "latency"
    asked = pick(models, Wishes(latency="fast", performance="best"), CARD)
    assert asked.picks[0].model.is_api
    assert any("within 100 ms" in warning for warning in asked.picks[0].warnings)
    assert any("small model" in warning for warning in asked.warnings)


def test_two_seconds_rule_out_what_is_slower_than_reading(models):
    picked = pick(models, Wishes(latency="normal", offline=True), LAPTOP)
    assert all(best.rate and best.rate >= 5 for best in picked.picks)
    name, reason = why(models, "qwen2.5-7b-instruct", LAPTOP, latency="normal")
    assert name == "latency" and "tokens/s" in reason
    # a mixture reads its active experts only: as large, but fast enough
    possible = pick(models, Wishes(latency="normal", offline=True), machine_with(24 * GB))
    assert "qwen3-30b-a3b-instruct-2507" in [best.model.id for best in possible.picks] + list(possible.others)


def test_fine_tuning_for_one_task_puts_small_open_rows_first(models):
    picked = pick(models, Wishes(finetune=True, specialised=True, performance="best"), CARD)
    assert all(not best.model.is_api and (best.model.params or 0) < 8.6e9 for best in picked.picks)
    assert any("LoRA" in reason for reason in picked.picks[0].reasons)
    encoder = pick(models, Wishes(task="classification", finetune=True, specialised=True), LAPTOP).picks[0]
    assert any("encoder" in reason for reason in encoder.reasons)
    assert any("prompt" in warning for warning in pick(models, Wishes(finetune=True), CARD).warnings)


def test_commercial_work_drops_forbidden_rows_and_warns_of_conditions(models):
    picked = pick(models, Wishes(commercial=True, budget="high"), machine_with(200 * GB))
    assert all(best.model.commercial_use in ("yes", "conditional") for best in picked.picks)
    assert why(models, "qwen2.5-3b-instruct", CARD, commercial=True)[0] == "license"
    conditional = [best for best in picked.picks if best.model.commercial_use == "conditional"]
    assert all(any("conditions" in warning for warning in best.warnings) for best in conditional)


def test_the_precision_is_the_highest_that_fits(models):
    for size, precision in ((24, "bfloat16"), (12, "gptq-8bit"), (8, "gptq-4bit")):
        picked = pick([row for row in models if row.id == "olmo-3-7b-instruct"], Wishes(), machine_with(size * GB))
        assert [best.precision for best in picked.picks] in ([precision], [])
        if not picked.picks:
            assert picked.rejected[0].filter == "memory"


def test_what_others_hold_does_not_count_as_free(models):
    holder = GpuProcess(pid=4121, used=70 * GB, owner="mallory")
    gpu = Gpu(0, "NVIDIA H100 80GB HBM3", 80 * GB, 10 * GB, 70 * GB, processes=(holder,))
    busy = Snapshot(host=Host(memory_total=64 * GB, memory_available=2 * GB), gpus=(gpu,))
    name, reason = why(models, "llama-3.3-70b-instruct", busy)
    assert name == "memory" and "10.0 GB free now" in reason
    assert all(best.model.is_api or best.fit.verdict is Verdict.FITS for best in pick(models, Wishes(), busy).picks)


def test_a_full_disk_rejects_what_must_be_downloaded_but_not_what_is_here(models):
    full = Snapshot(host=LAPTOP.host, disks=(Disk("downloads", "/home", 100 * GB, GB),))
    assert why(models, "qwen3-1.7b", full, offline=True)[0] == "disk"
    here = pick(models, Wishes(offline=True), full, frozenset(["qwen3-1.7b"]))
    assert "qwen3-1.7b" not in [row.id for row in here.rejected]


def test_the_rate_follows_bandwidth_and_weights(models):
    row = [model for model in models if model.id == "qwen3-8b"]
    h100 = Snapshot(gpus=(Gpu(0, "NVIDIA H100 80GB HBM3", 80 * GB, 80 * GB, 0),))
    l4 = Snapshot(gpus=(Gpu(0, "NVIDIA L4", 24 * GB, 24 * GB, 0),))
    fast, slow = (pick(row, Wishes(), machine).picks[0] for machine in (h100, l4))
    assert fast.rate == pytest.approx(0.55 * 3350e9 / fast.fit.weights)
    assert slow.rate == pytest.approx(0.55 * 300e9 / slow.fit.weights)
    assert any("data sheet" in reason for reason in fast.reasons)


def test_languages(models):
    picked = pick(models, Wishes(task="translation", language="German"), CARD)
    assert why(models, "opus-mt-en-fr", CARD, task="translation", language="de")[0] == "language"
    assert "opus-mt-en-de" in [best.model.id for best in picked.picks] + list(picked.others)
    unsure = pick(models, Wishes(language="de", offline=True), CARD).picks
    assert any("try it" in warning for best in unsure for warning in best.warnings)
    assert why(models, "bert-base-ner", CARD, task="ner", language="fr")[0] == "language"


def test_conflicts_are_said(models):
    def warnings(**wishes) -> str:
        return " ".join(pick(models, Wishes(**wishes), CARD).warnings)

    assert "pull apart" in warnings(budget="low", performance="best")
    assert "APIs come first" in warnings(budget="high", performance="best")
    assert "offline rules them out" in warnings(budget="low", offline=True)
    assert warnings() == ""


def test_nothing_left_says_what_to_relax(models):
    picked = pick(models, Wishes(offline=True), machine_with(GB // 10))
    assert picked.picks == ()
    assert "memory rejected the most rows" in picked.warnings[-1]


def test_answers_that_nobody_knows_are_refused():
    with pytest.raises(UsageError, match="answer for budget"):
        Wishes(budget="middling")
    with pytest.raises(UsageError, match="task"):
        Wishes(task="juggling")


def test_the_list_of_the_catalog_is_judged_in_time_for_a_live_form(models):
    import time

    pick(models, Wishes(), CARD)
    started = time.process_time()
    for _ in range(5):
        pick(models, Wishes(offline=True), CARD)
    assert (time.process_time() - started) / 5 < 0.1
