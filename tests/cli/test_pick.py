"""``heft pick`` as other programs see it."""

from __future__ import annotations

from pathlib import Path

from tests.heft import Heft


def test_pick_prints_three_rows_and_why_every_other_is_out(tmp_path: Path) -> None:
    heft = Heft(tmp_path / "home")
    picked = heft.json("pick", "--offline", "--commercial", "--memory", "24GB")
    assert len(picked["picks"]) == 3
    for best in picked["picks"]:
        assert best["fit"]["verdict"] == "fits" and best["precision"] and best["tokens_per_second"] > 0
        assert best["price_per_1k_requests"] == 0 and best["reasons"]
        assert best["commercial_use"] in ("yes", "conditional")
    total = len(picked["picks"]) + len(picked["others"]) + len(picked["rejected"])
    assert total == len(heft.json("models"))
    assert {"id", "filter", "reason"} == set(picked["rejected"][0])
    told = heft("pick", "--budget", "low", "--performance", "best")
    assert told.code == 0 and told.out.startswith("1. ") and "pull apart" in told.err


def test_pick_refuses_words_it_does_not_know_and_says_when_nothing_is_left(tmp_path: Path) -> None:
    heft = Heft(tmp_path / "home")
    assert heft("pick", "--budget", "middling").code == 2
    assert heft("pick", "--task", "juggling", "--json").code == 2
    empty = heft.json("pick", "--offline", "--memory", "50MB", code=3)
    assert empty["picks"] == [] and "nothing is left" in empty["warnings"][-1]
