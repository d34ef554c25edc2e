"""Asks everybody: endpoints side by side, local models wave by wave, each contestant failing alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from tui.chat.conversation import Message, Parameters
from tui.chat.resolve import host_endpoint
from tui.compare.asking import ask
from tui.compare.contestants import endpoint_of
from tui.compare.keys import read_keys
from tui.compare.trial import Contestant, Trial
from tui.compare.trial_store import TrialStore
from tui.compare.trials import Trials
from tui.errors import HeftError, StoreError
from tui.jobs.job import Job
from tui.workers.compare.hosts import Hosts, NoRoomNowError
from tui.workers.compare.live_text import LiveText
from tui.workers.compare.questions import Questions
from tui.workers.compare.seat import Seat
from tui.workers.compare.turns import Turns
from tui.workers.reporter import Reporter, Stopped


class Panel(Questions):
    """The contestants of one trial while their job runs."""

    def __init__(self, reporter: Reporter, store: TrialStore, trial: Trial) -> None:
        super().__init__(reporter, store, trial)
        self.keys = read_keys(reporter.folder, list(reporter.job.spec.get("keys") or ()))
        self._turns: dict[str, Turns] = {}
        self._broken: list[BaseException] = []

    def ask_all(self) -> None:
        """Ask what has no answer yet; returns when everybody is through."""
        self._progress("asking")
        self._live = LiveText(self.store)
        hosts = Hosts(self.reporter, self.store, self.trial)
        self._hosts_of_ours = lambda: hosts.ours
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
            self._live.close()
        if self._broken:
            raise self._broken[0]

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

    # --- threads

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


def _join(threads: list[threading.Thread], reporter: Reporter) -> None:
    while any(thread.is_alive() for thread in threads):
        if reporter.stop.is_set():
            for thread in threads:
                thread.join(2)
            raise Stopped
        time.sleep(0.05)
