"""Lets the judge of a trial vote: each pair twice, the second time with the answers swapped."""

from __future__ import annotations

from dataclasses import replace

from tui.chat.conversation import Message, Parameters
from tui.compare.asking import Asked, ask, prompt_tokens_in
from tui.compare.ballot import Pair, pairs
from tui.compare.judge import agreed, judge_messages, verdict_in
from tui.errors import HeftError
from tui.workers.compare.hosts import Hosts
from tui.workers.compare.panel import Panel
from tui.workers.compare.seat import Seat

VERDICT_TOKENS = 600


class Judging:
    """The judge at work; its votes are kept one by one, so a kill costs at most one pair."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._reporter = panel.reporter

    def judge_all(self) -> None:
        """Vote on every pair that the judge has not voted on. Raises ``HeftError`` when the judge cannot be reached."""
        panel, judge = self._panel, self._panel.order.judge
        assert judge is not None
        store, trial = panel.store, panel.trial
        waiting = list(pairs(trial, store.attempts(trial.id), store.votes(trial.id), voter=judge.name))
        if not waiting:
            return
        if not judge.is_local:
            self._vote(panel.seat(judge), waiting)
            return
        hosts = Hosts(self._reporter, store, trial)
        try:
            job = hosts.load(len(panel.order.contestants), judge, others_loaded=False)
            self._vote(panel.loaded_seat(judge, job), waiting)
        finally:
            hosts.close()

    def _vote(self, seat: Seat, waiting: list[Pair]) -> None:
        for number, pair in enumerate(waiting):
            self._reporter.check()
            self._reporter.progress(
                self._panel.trial.wanted, message=f"{seat.contestant.name} judges pair {number + 1} of {len(waiting)}"
            )
            if not self._one(seat, pair):
                return

    def _one(self, seat: Seat, pair: Pair) -> bool:
        """One pair in both orders; False when the spend cap does not allow it."""
        panel = self._panel
        if pair.left_name > pair.right_name:
            pair = replace(pair, left=pair.right, right=pair.left, left_name=pair.right_name, right_name=pair.left_name)
        prompt = panel.order.prompts[pair.prompt]
        texts = (pair.left.text, pair.right.text)
        both = [judge_messages(prompt, *texts), judge_messages(prompt, *reversed(texts))]
        most = sum(seat.price.cost(2 * prompt_tokens_in(messages), VERDICT_TOKENS) or 0 for messages in both)
        if not panel.purse.reserve(most):
            self._reporter.say("the spend cap does not allow more judging")
            return False
        cost: int | None = None
        try:
            asked = [self._ask(seat, messages) for messages in both]
            cost = sum(
                seat.price.cost(item.prompt_tokens, item.completion_tokens, item.cached_tokens, item.seconds) or 0
                for item in asked
            )
        finally:
            panel.purse.settle(most, cost)
        straight, swapped = verdict_in(asked[0].text, swapped=False), verdict_in(asked[1].text, swapped=True)
        outcome = agreed(straight, swapped)
        error = next((item.error for item in asked if item.error is not None), None)
        if error is not None:
            raise HeftError(f"the judge {seat.contestant.name} failed: {error.summary}", error.hint)
        facts = {"straight": straight or "none", "swapped": swapped or "none", "words": [item.text for item in asked]}
        vote = pair.vote(_CHOICES.get(outcome, "tie"), seat.contestant.name, **facts)
        vote = replace(
            vote,
            prompt_tokens=sum(item.prompt_tokens for item in asked),
            completion_tokens=sum(item.completion_tokens for item in asked),
            cost=cost if seat.price.is_known else None,
        )
        panel.store.vote(vote)
        return True

    def _ask(self, seat: Seat, messages: list[Message]) -> Asked:
        wanted = Parameters(temperature=0.0, seed=self._panel.order.parameters.seed, max_tokens=VERDICT_TOKENS)
        return ask(seat.endpoint, messages, wanted, stop=self._reporter.stop, timeout=self._panel.order.timeout)


_CHOICES = {"one": "left", "other": "right", "tie": "tie", "neither": "neither"}
