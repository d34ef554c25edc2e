"""Checks by rule, where a smaller build parts ways, judges, votes and the board."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from tests.compare.panels import build, endpoint, order
from tui.compare.ballot import PERSON, Vote, pairs
from tui.compare.board import board
from tui.compare.checks import check, f1, rouge_l, scores
from tui.compare.divergence import bits_of, diverges, ladder, tokenizer_cut
from tui.compare.judge import agreed, verdict_in
from tui.compare.trial import AttemptState, Place, Prompt, Trial
from tui.compare.trial_store import TrialStore
from tui.starter import starter_folder


def test_exact_contains_and_overlap() -> None:
    found = check(Prompt(("q",), expected=("Paris", "the city of Paris")), " paris. ")
    assert found["exact"] == 1.0 and found["f1"] == 1.0 and found["contains"] == 1.0
    found = check(Prompt(("q",), expected=("Paris",)), "I think it is Paris, in France")
    assert found["exact"] == 0.0 and found["contains"] == 1.0 and 0 < found["f1"] < 0.5
    assert f1("a b c", "b c d") == pytest.approx(2 / 3)
    assert rouge_l("the cat sat", "the cat on the mat sat") == pytest.approx(2 * 1.0 * 0.5 / 1.5)


def test_regex_json_and_schema() -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    asked = Prompt(("q",), regex=r"^\s*```", schema=schema)
    assert check(asked, '```json\n{"n": 3}\n```')["schema"] == 1.0
    wrong = check(asked, '{"n": "3"}')
    assert (wrong["json"], wrong["schema"], wrong["regex"]) == (1.0, 0.0, 0.0)
    assert check(asked, "no")["json"] == 0.0


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("As an AI language model, I", True),
        ("I cannot", True),
        ("Sorry is a word of five letters", False),
        ("The answer: I can", False),
    ],
)
def test_refusals(text: str, refuses: bool) -> None:
    assert check(Prompt(("q",)), text)["refusal"] is refuses


def test_scores_are_means_over_those_that_have_them() -> None:
    assert scores([{"exact": 1.0}, {"exact": 0.0}, {}]) == {"exact": 0.5}


def test_divergence_at_the_first_token_that_differs() -> None:
    cut = tokenizer_cut(starter_folder())
    assert cut is not None
    same = "GPTQ stores weights in few bits."
    parted = diverges("GPTQ stores weights in four bits.", same, cut)
    assert parted.unit == "token" and parted.character == len("GPTQ stores weights in")
    assert diverges(same, same, cut).token is None
    assert diverges("a b", "a b c").token == 2  # the shorter one ended
    assert tokenizer_cut(Path("/nowhere")) is None


def test_a_ladder_holds_each_build_against_the_most_bits_of_its_model() -> None:
    panel = [build("full"), build("eight", bits=8), build("four", bits=4), build("other", model="x", bits=4)]
    assert ladder([*panel, endpoint("api")]) == {1: 0, 2: 0}
    assert [bits_of(item) for item in panel] == [16, 8, 4, 4]
    assert bits_of(build("g", precision="Q4_K_M")) == 4 and bits_of(endpoint("e")) == 0


def test_a_judge_must_hold_to_it_when_the_answers_are_swapped() -> None:
    assert verdict_in("B is nice. VERDICT: **A**", swapped=False) == "one"
    assert verdict_in("VERDICT: A", swapped=True) == "other"
    assert verdict_in("well", swapped=False) == ""
    assert agreed("one", "one") == "one" and agreed("one", "other") == "tie" and agreed("", "") == ""


def trial_with_answers(store: TrialStore, *texts: str, prompts: int = 1) -> Trial:
    panel = [endpoint(f"model {number}") for number in range(len(texts))]
    trial = store.start(order(*panel, prompts=prompts), "t")
    for prompt in range(prompts):
        for number, text in enumerate(texts):
            attempt = store.begin(trial.id, Place(number, prompt), {})
            store.finish(attempt, state=AttemptState.DONE, text=text)
    return trial


def test_a_ballot_hides_sides_and_skips_what_was_voted_on_or_is_the_same(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "t.db")
    trial = trial_with_answers(store, "alpha", "beta", "alpha", prompts=20)
    waiting = list(pairs(trial, store.attempts(trial.id), []))
    assert len(waiting) == 40  # of three pairs each, one is the same text
    lefts = [pair.left_name for pair in waiting if {pair.left_name, pair.right_name} == {"model 0", "model 1"}]
    assert 3 < lefts.count("model 0") < 17, "the side gives the name away"
    first = waiting[0]
    store.vote(first.vote("left"))
    kept = store.votes(trial.id)[0]
    assert {kept.one, kept.other} == {first.left_name, first.right_name} and kept.voter == PERSON
    assert (kept.one if kept.outcome == "one" else kept.other) == first.left_name
    left = list(pairs(trial, store.attempts(trial.id), store.votes(trial.id)))
    assert len(left) == 39 and left == waiting[1:]


def test_the_board_finds_the_strengths_that_made_the_votes() -> None:
    dice, strength = Random(3), {"strong": 8.0, "middle": 2.0, "weak": 1.0}
    votes = []
    for number in range(600):
        one, other = sorted(dice.sample(list(strength), 2))
        won = dice.random() < strength[one] / (strength[one] + strength[other])
        votes.append(Vote(1, number, 0, one, other, "one" if won else "other"))
    ranks = board(votes)
    assert [rank.name for rank in ranks] == ["strong", "middle", "weak"]
    assert ranks[0].rating - ranks[1].rating == pytest.approx(400 * 0.602, abs=90)  # log10(8 / 2)
    assert all(rank.low <= rank.rating <= rank.high for rank in ranks)
    assert sum(rank.rating for rank in ranks) / 3 == pytest.approx(1000)


def test_few_votes_are_unsure_and_somebody_unbeaten_stays_finite() -> None:
    few = board([Vote(1, 0, 0, "a", "b", "one")])
    many = board([Vote(1, number, 0, "a", "b", "one" if number % 4 else "other") for number in range(400)])
    assert few[0].rating < 1600 and few[0].high - few[0].low > 300, "one vote proves little"
    assert few[0].low < few[1].high
    assert many[0].high - many[0].low < 120 and many[0].low > many[1].high
    assert board([]) == []
    ties = board(
        [Vote(1, number, 0, one, other, "neither") for number, (one, other) in enumerate(combinations("abc", 2))]
    )
    assert {round(rank.rating) for rank in ties} == {1000} and ties[0].both_bad == 2
