"""Puts the prompts of a trial to one contestant after the other: what is still to be asked, what it may cost, what is
kept of each answer, and how far the whole is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Model
from tui.chat.conversation import Message, Parameters
from tui.chat.price import Price
from tui.compare.asking import Asked, Sofar, ask, counted_tokens, prompt_tokens_in
from tui.compare.plan import messages_of
from tui.compare.prices import price_of
from tui.compare.trial import Attempt, AttemptState, Contestant, Place, Trial, newest
from tui.compare.trial_store import TrialStore
from tui.errors import EndpointError
from tui.settings import load_settings
from tui.workers.compare.live_text import LiveText
from tui.workers.compare.purse import Purse
from tui.workers.compare.seat import Seat
from tui.workers.reporter import Reporter

OPEN_END = 4096
"""Tokens that money is set aside for where an answer has no limit."""


class Questions:
    """The prompts of one trial while its job runs; several contestants may be asked at once. ``_live`` is there
    while they are."""

    _live: LiveText

    def __init__(self, reporter: Reporter, store: TrialStore, trial: Trial) -> None:
        self.reporter, self.store, self.trial, self.order = reporter, store, trial, trial.order
        self.settings = load_settings(reporter.paths.settings_file)
        self.purse = Purse(store.spent(trial.id), trial.order.max_cost)
        self._catalog: Callable[[str], Model | None] | None = None
        self._lock = threading.Lock()
        self._answers: dict[Place, Attempt] = {
            place: attempt for place, attempt in newest(store.attempts(trial.id)).items() if attempt.is_answer
        }
        self._settled = len(self._answers)
        self._hosts_of_ours: Callable[[], list[int]] = lambda: []

    def price(self, contestant: Contestant) -> Price:
        """What a contestant costs; the catalog is read only when somebody in it is asked for."""
        return price_of(contestant, self.settings, self._find)

    def _ask_contestant(self, number: int, seat: Seat) -> None:
        for place in self._missing(number):
            if self.reporter.stop.is_set():
                return
            before = [replace(place, turn=turn) for turn in range(place.turn)]
            with self._lock:
                said = [self._answers[other].text for other in before if other in self._answers]
            if len(said) < len(before):
                continue  # the turn before it has no answer: there is nothing to go on from
            if seat.turns is None:
                self._ask(seat, place, said)
            else:
                with seat.turns.turn(self.reporter.stop):
                    self._ask(seat, place, said)
        self.store.stand(self.trial.id, number, note="")

    def _ask(self, seat: Seat, place: Place, said: list[str]) -> None:
        if self.reporter.stop.is_set():
            return
        prompt = self.order.prompts[place.prompt]
        messages = messages_of(prompt, place.turn, said, self.order.system)
        prompt_tokens = prompt_tokens_in(messages)
        limit = self.order.parameters.max_tokens or OPEN_END
        most = None if seat.contestant.is_local else seat.price.cost(2 * prompt_tokens, limit)
        if not self.purse.reserve(most):
            attempt_id = self.store.begin(self.trial.id, place, seat.circumstances(self.order, place))
            self.store.finish(attempt_id, state=AttemptState.HELD, problem="the spend cap does not allow it")
            self._settle()
            return
        attempt_id = self.store.begin(
            self.trial.id, place, seat.circumstances(self.order, place),
            prompt_tokens=prompt_tokens, completion_tokens=0, counted=1, cost=seat.price.cost(prompt_tokens, 0),
        )  # fmt: skip
        cost: int | None = None
        try:
            asked = self._send(seat, place, messages, attempt_id)
            cost = _cost(seat, asked)
            self._keep(seat, place, attempt_id, asked, cost)
        finally:
            self.purse.settle(most, cost)
        self._settle()

    def _send(self, seat: Seat, place: Place, messages: list[Message], attempt_id: int) -> Asked:
        prompt_tokens = prompt_tokens_in(messages)

        def show(sofar: Sofar) -> None:
            if sofar.pieces:
                cost = seat.price.cost(prompt_tokens, counted_tokens(sofar))
                self._live.show(attempt_id, sofar, cost, prompt_tokens)

        def tell(words: str) -> None:
            self.store.stand(self.trial.id, self.order.contestants.index(seat.contestant), note=words)

        parameters = Parameters.from_chosen(seat.parameters(self.order, place))
        asked = ask(
            seat.endpoint, messages, parameters,
            stop=self.reporter.stop, timeout=self.order.timeout, show=show, tell=tell,
        )  # fmt: skip
        self._live.over(attempt_id)
        return asked

    def _keep(self, seat: Seat, place: Place, attempt_id: int, asked: Asked, cost: int | None) -> None:
        error = asked.error
        if asked.stopped:
            state, problem = AttemptState.LOST, "stopped in the middle"
        elif error is not None:
            state, problem = AttemptState.FAILED, error.summary
        else:
            state, problem = AttemptState.DONE, ""
        seat.left_out = tuple(dict.fromkeys((*seat.left_out, *asked.left_out)))
        uncached = asked.prompt_tokens - asked.cached_tokens
        first = asked.time_to_first_token if seat.contestant.is_local else None
        values = {
            name: getattr(asked, name)
            for name in ("text", "thinking", "finish_reason", "prompt_tokens", "completion_tokens", "thinking_tokens",
                         "cached_tokens", "counted", "time_to_first_token", "seconds", "decode_rate", "waited", "tries")
        }  # fmt: skip
        values |= {
            "state": state,
            "problem": problem,
            "hint": error.hint if error else "",
            "cost": cost,
            "prompt_rate": uncached / first if first and uncached >= 8 else None,
        }
        if asked.left_out:
            values["under"] = seat.circumstances(self.order, place)
        self.store.finish(attempt_id, **values)
        if state is AttemptState.DONE:
            with self._lock:
                self._answers[place] = Attempt(attempt_id, place, 0, state, asked.text)

    # --- counting

    def _missing(self, number: int) -> list[Place]:
        with self._lock:
            return [place for place in self.order.places() if place.contestant == number and place not in self._answers]

    def _cannot(self, number: int, why: str) -> None:
        self.reporter.say(f"{self.order.contestants[number].name} takes no part: {why}")
        self.store.stand(self.trial.id, number, problem=why, note="")

    def _settle(self) -> None:
        with self._lock:
            self._settled += 1
        self._progress("")

    def _progress(self, message: str) -> None:
        spent = self.purse.spent
        words = message or "asking"
        self.reporter.progress(
            self._settled,
            self.trial.wanted,
            "answers",
            words,
            trial=self.trial.id,
            cost=spent / 1e9,
            hosts=self._hosts_of_ours(),
        )

    def _find(self, name: str) -> Model | None:
        if self._catalog is None:
            self._catalog = load_catalog(self.reporter.paths).find
        return self._catalog(name)


def _cost(seat: Seat, asked: Asked) -> int | None:
    if isinstance(asked.error, EndpointError) and not asked.prompt_tokens:
        return 0 if seat.price.is_known else None  # refused before a word: nothing was computed
    seconds = asked.seconds if seat.contestant.is_local else 0.0
    return seat.price.cost(asked.prompt_tokens, asked.completion_tokens, asked.cached_tokens, seconds)
