"""Asks everybody: endpoints side by side, local models wave by wave, each contestant failing alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Model
from tui.chat.conversation import Message, Parameters
from tui.chat.price import Price
from tui.chat.resolve import host_endpoint
from tui.compare.asking import Asked, Sofar, ask, counted_tokens, prompt_tokens_in
from tui.compare.contestants import endpoint_of
from tui.compare.keys import read_keys
from tui.compare.plan import messages_of
from tui.compare.prices import price_of
from tui.compare.trial import Attempt, AttemptState, Contestant, Place, Trial, newest
from tui.compare.trial_store import TrialStore
from tui.compare.trials import Trials
from tui.errors import EndpointError, HeftError, StoreError
from tui.jobs.job import Job
from tui.settings import load_settings
from tui.workers.compare.hosts import Hosts, NoRoomNowError
from tui.workers.compare.live_text import LiveText
from tui.workers.compare.purse import Purse
from tui.workers.compare.seat import Seat
from tui.workers.compare.turns import Turns
from tui.workers.reporter import Reporter, Stopped

OPEN_END = 4096
"""Tokens that money is set aside for where an answer has no limit."""


class Panel:
    """The contestants of one trial while their job runs."""

    def __init__(self, reporter: Reporter, store: TrialStore, trial: Trial) -> None:
        self.reporter, self.store, self.trial, self.order = reporter, store, trial, trial.order
        self.settings = load_settings(reporter.paths.settings_file)
        self.keys = read_keys(reporter.folder, list(reporter.job.spec.get("keys") or ()))
        self.purse = Purse(store.spent(trial.id), trial.order.max_cost)
        self._catalog: Callable[[str], Model | None] | None = None
        self._lock = threading.Lock()
        self._answers: dict[Place, Attempt] = {
            place: attempt for place, attempt in newest(store.attempts(trial.id)).items() if attempt.is_answer
        }
        self._settled = len(self._answers)
        self._turns: dict[str, Turns] = {}
        self._broken: list[BaseException] = []
        self._hosts: Hosts | None = None

    def ask_all(self) -> None:
        """Ask what has no answer yet; returns when everybody is through."""
        self._progress("asking")
        live = LiveText(self.store)
        self._live = live
        hosts = self._hosts = Hosts(self.reporter, self.store, self.trial)
        hosts.started = lambda: self._progress("loading")
        threads: list[threading.Thread] = []
        try:
            for number, contestant in enumerate(self.order.contestants):
                self.store.stand(self.trial.id, number, problem="", note="")
                if not contestant.is_local and self._missing(number):
                    threads.append(self._begin(number, lambda n=number, c=contestant: self._remote(n, c)))  # type: ignore[misc]
            self._waves(hosts)
            _join(threads, self.reporter)
        except BaseException:
            self.reporter.stop.set()
            for thread in threads:
                thread.join(2)
            raise
        finally:
            hosts.close()
            live.close()
        if self._broken:
            raise self._broken[0]

    def price(self, contestant: Contestant) -> Price:
        """What a contestant costs; the catalog is read only when somebody in it is asked for."""
        return price_of(contestant, self.settings, self._find)

    def seat(self, contestant: Contestant) -> Seat:
        """A contestant that is reached by its address. Raises ``NotAllowedError`` without its key."""
        endpoint = endpoint_of(contestant, self.keys.get(contestant.key_env, ""))
        return Seat(contestant, endpoint, self.price(contestant))

    def loaded_seat(self, contestant: Contestant, job: Job) -> Seat:
        """A contestant whose host is ready."""
        names = ("context", "device", "dtype", "engine", "chat_template")
        facts = {name: job.result[name] for name in names if name in job.result}
        facts.setdefault("engine", "transformers")
        device = job.device or str(job.result.get("device") or "cpu")
        turns = self._turns.setdefault(device, Turns())
        return Seat(contestant, host_endpoint(job.result), self.price(contestant), facts, turns)

    # --- local models

    def _waves(self, hosts: Hosts) -> None:
        local = [number for number, one in enumerate(self.order.contestants) if one.is_local and self._missing(number)]
        if not local:
            return
        desk = Trials(self.reporter.paths, hosts.jobs, self.settings, self._find, hosts.library.build, hosts.snapshot)
        plan = desk.plan(self.order)
        for number in local:
            if plan.entries[number].problem:
                self._cannot(number, plan.entries[number].problem)
        waves = [[number for number in wave if number in local] for wave in plan.waves]
        while waves:
            wave = waves.pop(0)
            later = self._wave(hosts, wave)
            if later:
                waves.append(later)

    def _wave(self, hosts: Hosts, wave: list[int]) -> list[int]:
        """Load, ask and unload a wave; returns those for whom there was no room after all."""
        seated: dict[int, tuple[Seat, Job]] = {}
        later: list[int] = []
        for number in wave:
            contestant = self.order.contestants[number]
            self._progress(f"loading {contestant.name}")
            try:
                job = hosts.load(number, contestant, others_loaded=bool(seated))
                self.store.stand(
                    self.trial.id, number, load_seconds=job.result.get("load_seconds"), note="", problem=""
                )
                seat = self.loaded_seat(contestant, job)
                self._warm_up(seat)
                seated[number] = (seat, job)
            except NoRoomNowError as error:
                self.reporter.say(f"{contestant.name} waits for the next wave: {error.summary}")
                later.append(number)
            except HeftError as error:
                self._cannot(number, error.summary)
        threads = [
            self._begin(number, lambda n=number, s=seat, j=job: self._local(hosts, n, s, j))  # type: ignore[misc]
            for number, (seat, job) in seated.items()
        ]
        _join(threads, self.reporter)
        return later

    def _warm_up(self, seat: Seat) -> None:
        """One token that is not counted: the first request pays for what the later ones find ready."""
        hello = [Message("user", "Hello")]
        ask(seat.endpoint, hello, Parameters(max_tokens=1), stop=self.reporter.stop, timeout=self.order.timeout)

    def _local(self, hosts: Hosts, number: int, seat: Seat, job: Job) -> None:
        try:
            self._ask_contestant(number, seat)
        finally:
            peak = hosts.peak_memory(job)
            if peak is not None:
                self.store.stand(self.trial.id, number, peak_memory=peak)
            if not self.reporter.stop.is_set():
                hosts.unload(number)

    # --- endpoints

    def _remote(self, number: int, contestant: Contestant) -> None:
        try:
            seat = self.seat(contestant)
            if not seat.endpoint.model:
                from tui.chat.client import ChatClient

                models = ChatClient(seat.endpoint, read_timeout=30).models()
                seat.endpoint = replace(seat.endpoint, model=models[0] if models else "")
        except HeftError as error:
            self._cannot(number, error.summary)
            return
        self._ask_contestant(number, seat)

    # --- asking

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
            hosts=self._hosts.ours if self._hosts else [],
        )

    def _find(self, name: str) -> Model | None:
        if self._catalog is None:
            self._catalog = load_catalog(self.reporter.paths).find
        return self._catalog(name)

    def _begin(self, number: int, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except StoreError as error:  # the records cannot be written: nothing more may be sent
                self._broken.append(error)
                self.reporter.stop.set()
            except Exception as error:
                self.reporter.say(f"contestant {number}: {type(error).__name__}: {error}")
                self._cannot(number, f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run, name=f"contestant {number}", daemon=True)
        thread.start()
        return thread


def _cost(seat: Seat, asked: Asked) -> int | None:
    if isinstance(asked.error, EndpointError) and not asked.prompt_tokens:
        return 0 if seat.price.is_known else None  # refused before a word: nothing was computed
    seconds = asked.seconds if seat.contestant.is_local else 0.0
    return seat.price.cost(asked.prompt_tokens, asked.completion_tokens, asked.cached_tokens, seconds)


def _join(threads: list[threading.Thread], reporter: Reporter) -> None:
    while any(thread.is_alive() for thread in threads):
        if reporter.stop.is_set():
            for thread in threads:
                thread.join(2)
            raise Stopped
        time.sleep(0.05)
