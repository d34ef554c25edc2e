"""What a person can ask of trials: plan, start, go on with what failed, repeat, vote.

The front ends' door to this package. It resolves names, asks the fit estimate for rooms, and submits the one job that
does the work; it never sends a request itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from tui.catalog.build import Build
from tui.catalog.card import load_card
from tui.catalog.hub import Hub
from tui.catalog.hub_answers import REPOSITORY_NAME
from tui.catalog.model import Model
from tui.chat.keys import find_key
from tui.chat.price import Price
from tui.compare.ballot import Pair, Vote, pairs
from tui.compare.benchmarks import labelled
from tui.compare.contestants import find_contestant, require_panel
from tui.compare.keys import keep_keys
from tui.compare.metrics import Summary, summaries
from tui.compare.plan import Plan, Room, Typical, make_plan
from tui.compare.prices import price_of
from tui.compare.published import HubResults, Published, hub_results, published_results
from tui.compare.trial import Attempt, Contestant, Order, Trial
from tui.compare.trial_store import TrialStore
from tui.errors import DoesNotFitError, HeftError, MoveRefusedError, NotAllowedError, NotFoundError, UsageError
from tui.fit.config_facts import folder_model
from tui.fit.verdict import Verdict
from tui.hardware.snapshot import Snapshot
from tui.jobs.job import Job, JobRequest, Kind, State
from tui.jobs.preflight import serve_fit
from tui.jobs.store import Store
from tui.paths import Paths
from tui.pick.speed import bandwidth_of, decode_rate
from tui.plain_text import clean_line
from tui.settings import Settings


class Trials:
    """The trials of one user. ``find_model`` looks in the catalog, ``find_build`` on this disk, ``snapshot`` at the
    machine as it is now."""

    def __init__(
        self,
        paths: Paths,
        jobs: Store,
        settings: Settings,
        find_model: Callable[[str], Model | None],
        find_build: Callable[[str], Build],
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self.paths, self.jobs, self.settings = paths, jobs, settings
        self._find_model, self._find_build, self._snapshot = find_model, find_build, snapshot

    @cached_property
    def store(self) -> TrialStore:
        """The records."""
        return TrialStore(self.paths.trials)

    # --- before it starts

    def contestant(self, ref: str) -> Contestant:
        """Who ``ref`` names: a loaded model, a build, an endpoint (``NAME`` or ``NAME:MODEL``), an API model or a URL
        (``URL#MODEL``)."""
        for job in self._hosts():
            if ref == str(job.id):
                ref = str(job.result.get("build") or job.spec.get("build") or ref)
        return find_contestant(
            ref, endpoints=self.settings.endpoints, find_model=self._find_model, find_build=self._find_build
        )

    def plan(self, order: Order) -> Plan:
        """What ``order`` would take. Raises ``UsageError`` for a wrong number of contestants."""
        require_panel(order.contestants)
        seen = self._snapshot()
        rooms = {
            number: self._room(contestant, seen, order.context)
            for number, contestant in enumerate(order.contestants)
            if contestant.is_local
        }
        prices = [self.price(contestant) for contestant in order.contestants]
        typical = [self._typical(contestant.name) for contestant in order.contestants]
        problems = {number: why for number, one in enumerate(order.contestants) if (why := missing_key(one))}
        judge = self.price(order.judge) if order.judge else None
        return make_plan(order, rooms, prices, typical, judge, problems)

    def price(self, contestant: Contestant) -> Price:
        """What a contestant's answers cost."""
        return price_of(contestant, self.settings, self._find_model)

    def _room(self, contestant: Contestant, seen: Snapshot, context: int | None) -> Room:
        try:
            build = self._find_build(contestant.build)
        except NotFoundError as error:
            return Room(problem=error.summary)
        fit, device = serve_fit(build, seen, context)
        loaded = any(job.result.get("build") == build.id for job in self._hosts())
        if fit.verdict is Verdict.DOES_NOT_FIT and not loaded:
            return Room(problem=fit.reason, memory=fit.total or 0, device=device)
        try:
            model = folder_model(build.path, model_id=build.model or build.id)
        except HeftError:  # a GGUF file has no configuration beside it; its size alone says enough here
            model = Model(build.id, build.id)
        bandwidth, _ = bandwidth_of(fit, seen)
        return Room(
            memory=fit.total or 0,
            device=device,
            free=fit.free,
            capacity=fit.capacity,
            loaded=loaded,
            weights=fit.weights or 0,
            rate=decode_rate(model, fit, bandwidth),
        )

    def _hosts(self) -> list[Job]:
        return [job for job in self.jobs.unfinished() if job.kind is Kind.SERVE and job.state is State.READY]

    def _typical(self, name: str) -> Typical:
        return self.store.typical(name)

    # --- starting

    def start(self, order: Order, replay_of: int | None = None) -> tuple[Trial, Job]:
        """Keep the order and submit its job. Raises ``DoesNotFitError`` when fewer than two contestants can take part,
        ``UsageError`` for an order that is none."""
        if not order.prompts:
            raise UsageError("there is no prompt", 'heft compare "a question" -m one -m other')
        if order.max_cost is not None and not order.parameters.max_tokens:
            raise UsageError("a spend cap needs a limit for one answer", "add --max-tokens 512")
        plan = self.plan(order)
        for contestant in (*order.contestants, *((order.judge,) if order.judge else ())):
            if why := missing_key(contestant):
                raise NotAllowedError(f"{contestant.name}: {why}", f"export {contestant.key_env}=... and try again")
        if plan.able < 2:
            problem = next((entry for entry in plan.entries if entry.problem), None)
            raise DoesNotFitError(
                f"fewer than two can take part: {problem.name}: {problem.problem}"
                if problem
                else "nobody can take part",
                "free memory, or choose smaller builds",
            )
        trial = self.store.start(order, order.title or title_of(order), replay_of)
        job = self._submit(trial)
        return self.store.trial(trial.id), job

    def go_on(self, trial_id: int, max_cost: float | None = None) -> tuple[Trial, Job]:
        """Ask again only what is missing or failed; with another spend cap where one is given. The job that is still
        at it is returned as it is."""
        trial = self.store.trial(trial_id)
        job = self.job_of(trial)
        if max_cost is not None:
            self.store.change_order(trial_id, replace(trial.order, max_cost=max_cost))
        if job is not None and not job.state.is_over:
            return trial, job
        if job is not None and job.state is not State.DONE:
            keep_keys(job.folder, self._key_names(trial.order))
            return trial, self.jobs.retry(job.id)
        return trial, self._submit(self.store.trial(trial_id))

    def replay(self, trial_id: int) -> tuple[Trial, Job]:
        """Ask the same again as a new trial: the same contestants, prompts, parameters and seed."""
        trial = self.store.trial(trial_id)
        contestants = tuple(self._as_now(contestant) for contestant in trial.order.contestants)
        order = replace(trial.order, contestants=contestants, title=trial.title)
        return self.start(order, replay_of=trial.id)

    def _as_now(self, contestant: Contestant) -> Contestant:
        """The contestant with what its name means today, so that a changed build shows as a difference."""
        try:
            return self.contestant(contestant.build or contestant.ref)
        except HeftError:
            return contestant

    def _submit(self, trial: Trial) -> Job:
        keys = self._key_names(trial.order)
        names = [contestant.name for contestant in trial.order.contestants]
        spec = {"trial": trial.id, "contestants": names, "keys": keys}
        request = JobRequest(Kind.COMPARE, trial.title, spec, key=f"compare-{trial.id}-{secrets.token_hex(4)}")
        job = self.jobs.submit(request)
        keep_keys(job.folder, keys)
        self.store.set_job(trial.id, job.id)
        return job

    def _key_names(self, order: Order) -> list[str]:
        judge = (order.judge,) if order.judge else ()
        wanted = [contestant.key_env for contestant in (*order.contestants, *judge)]
        wanted += [item.key_env for item in self.settings.endpoints if item.name == order.embeddings]
        return sorted({name for name in wanted if name and find_key(name)})

    def unload(self, job: Job) -> None:
        """End the hosts that a trial's job left when it was killed; one that still works ends its own."""
        with contextlib.suppress(HeftError):
            for host in hosts_of(self.store.trial(int(job.spec["trial"]))):
                with contextlib.suppress(HeftError):
                    self.jobs.cancel(host)

    # --- looking

    def job_of(self, trial: Trial) -> Job | None:
        """The job of a trial; None when it was cleared or ran on another machine."""
        if trial.job is None or trial.host != os.uname().nodename:
            return None
        job = self.jobs.find(trial.job)
        return job if job is not None and job.kind is Kind.COMPARE and job.spec.get("trial") == trial.id else None

    def is_working(self, trial: Trial) -> bool:
        """Whether its job waits or runs; one with every answer has nothing left to do."""
        if trial.answered == trial.wanted:
            return False
        job = self.job_of(trial)
        return job is not None and not job.state.is_over

    def results(self, trial_id: int) -> tuple[Trial, list[Attempt], list[Summary]]:
        """A trial with every request and the table."""
        trial = self.store.trial(trial_id)
        attempts = self.store.attempts(trial_id)
        return trial, attempts, summaries(trial, attempts, self.benchmarks(trial))

    def benchmarks(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Scores of benchmark tasks that were measured here, by contestant and label."""
        builds = [one for one in trial.order.contestants if one.is_local]
        return {one.name: labelled(self.store.scores(one.build)) for one in builds}

    def published(self, contestant: Contestant) -> list[Published]:
        """What the card of a contestant's model says it scored, where the card is here; the network is not asked."""
        name = contestant.catalog or contestant.model
        model = self._find_model(name)
        if model is None and contestant.path:
            model = folder_model(Path(contestant.path), model_id=name)
        if model is None:
            return []
        return published_results(load_card(model, self.paths, None))

    def published_at(self, hub: Hub, contestant: Contestant) -> HubResults:
        """What the hub says that a contestant's model scored; asks the network, and raises nothing: a hub that cannot
        be asked gives a note."""
        name = contestant.catalog or contestant.model
        model = self._find_model(name)
        repo = model.repo if model is not None else name if "/" in name else ""
        if not REPOSITORY_NAME.fullmatch(repo):
            return HubResults(note="its model has no repository at the hub")
        today = f"{datetime.now().astimezone():%Y-%m-%d}"
        try:
            found = hub_results(hub.eval_results(repo))
        except HeftError as error:
            return HubResults(note=f"{error.summary}; {error.hint}" if error.hint else error.summary, asked=today)
        return HubResults(tuple(found), "" if found else f"it has none for {repo}", today)

    def remove(self, trial_id: int) -> None:
        """Delete a trial; raises ``MoveRefusedError`` while its job is not over."""
        job = self.job_of(self.store.trial(trial_id))
        if job is not None and not job.state.is_over:
            raise MoveRefusedError(f"trial {trial_id} is under way (job {job.id})", f"heft jobs cancel {job.id} first")
        self.store.remove(trial_id)

    def ballot(self, trial_id: int) -> list[Pair]:
        """The pairs that wait for a vote, with the names still in them: whoever shows them hides these."""
        trial = self.store.trial(trial_id)
        return list(pairs(trial, self.store.attempts(trial_id), self.store.votes(trial_id)))

    def vote(self, vote: Vote) -> None:
        """Keep a vote."""
        self.store.vote(vote)


def missing_key(contestant: Contestant) -> str:
    """Why a contestant cannot be asked from here: its key is not set; empty when it can."""
    missing = contestant.key_env and not find_key(contestant.key_env)
    return f"it needs a key in {contestant.key_env}, which is not set" if missing else ""


def title_of(order: Order) -> str:
    """A title from the first prompt."""
    more = f" (+{len(order.prompts) - 1})" if len(order.prompts) > 1 else ""
    return clean_line(order.prompts[0].turns[0], 60) + more


def hosts_of(trial: Trial) -> Sequence[int]:
    """The serve jobs that were started for a trial."""
    return [standing.host_job for standing in trial.standings if standing.host_job is not None]
