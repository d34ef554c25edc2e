"""Who answers: hosts that come and go, endpoints that are chosen, and what is offered when a host has died."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui.jobs.job import Job, Kind, State
from tui.ui.conversation_errands import ConversationErrands
from tui.ui.lines.chat_lines import pull_text, who_line
from tui.ui.lines.dead_host_lines import host_card
from tui.ui.lines.job_lines import where_text
from tui.ui.lines.section_lines import Section

if TYPE_CHECKING:
    from tui.catalog.build import Build
    from tui.catalog.model import Model
    from tui.chat.endpoint import Endpoint
    from tui.chat.ollama import Pulled
    from tui.errors import HeftError
    from tui.jobs.remedies import Remedy
    from tui.ui.answerers import Answerer
    from tui.ui.chat_messages import ChatRequested, EndpointRequested, RemedyRequested
    from tui.workbench import Workbench

_DIED = (State.FAILED, State.INTERRUPTED)


class HostErrands(ConversationErrands):
    """Chooses who answers."""

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__(workbench)
        self.chat_ref = ""
        self.hosts: tuple[Job, ...] = ()
        self.remedies: dict[str, Remedy] = {}
        self._dead: Job | None = None
        self._buried: set[int] = set()
        self._pull_stop: threading.Event | None = None

    def show_hosts(self, jobs: Sequence[Job]) -> None:
        """The queue changed: a host that became ready answers, one that went away does not any more."""
        ready = tuple(job for job in jobs if job.kind is Kind.SERVE and job.state is State.READY)
        self._look_for_dead(jobs)
        if ready == self.hosts:
            return
        before, self.hosts = {job.id for job in self.hosts}, ready
        names = {self._host_ref(job) for job in ready}
        if self.chat_ref.isdigit() and self.chat_ref not in names:
            self.chat_ref, self.endpoint = "", None
            self.chat_pane.show_endpoint(who_line(None, "the host has left; g loads the starter, e another"), False)
            self.chat_pane.set_counts("")
        fresh = [job for job in ready if job.id not in before]
        awaited = [job for job in fresh if job.id in self.awaited]
        if awaited:
            self.awaited.clear()
            self.choose_endpoint(self._host_ref(awaited[-1]))
        elif fresh and self.endpoint is None:
            self.choose_endpoint(self._host_ref(fresh[-1]))

    @staticmethod
    def _host_ref(job: Job) -> str:
        return str(job.id)

    def choose_endpoint(self, ref: str, *, focus: bool = False, model: str = "") -> None:
        """Let ``ref`` answer from now on, with one of its models where it has several."""

        def found(answer: tuple[Endpoint, dict[str, Any]]) -> None:
            self.chat_ref, (self.endpoint, self.endpoint_facts) = ref, answer
            self.remedies = {}
            self.take_model_sampling()
            self.show_who()
            self.errand(lambda bench: bench.prepare_answers())
            self.chat_pane.set_counts("◆" if self.endpoint.local else "↗")
            if focus:
                self.action_pane(4)

        def work(workbench: Workbench) -> tuple[Endpoint, dict[str, Any]]:
            return workbench.endpoint(ref, model), workbench.chat_facts(ref)

        self.errand(work, found, group="endpoint")

    @property
    def device_note(self) -> str:
        """Where the model that answers was loaded."""
        host = next((job for job in self.hosts if self._host_ref(job) == self.chat_ref), None)
        return where_text(host.result) if host else ""

    def on_chat_requested(self, event: ChatRequested) -> None:
        """Chat with a model: its host when one is ready; an API; else its build is loaded first."""
        from tui.ui.answerers import answers_or_build

        ref = event.ref
        for job in self.hosts:
            if ref in (job.model, job.result.get("build"), job.result.get("model")):
                self.choose_endpoint(self._host_ref(job), focus=True)
                return
        self.errand(lambda workbench: answers_or_build(workbench, ref), lambda found: self._chat_or_load(ref, found))

    def _chat_or_load(self, ref: str, build: Build | None) -> None:
        if build is None:
            self.choose_endpoint(ref, focus=True)
        else:
            self._load(build.id)

    def _load(self, build_id: str, context: int | None = None, device: str = "") -> None:
        """Load a build; its host answers as soon as it is ready."""

        def work(workbench: Workbench) -> Job:
            return workbench.serve(workbench.build(build_id), context, device=device)

        def asked(job: Job) -> None:
            self.told_jobs((job,))
            if self.endpoint is None:
                self.chat_pane.show_who(who_line(None, f"{build_id} is being loaded; 3 shows how far it is"))

        self.errand(work, asked)

    def on_endpoint_requested(self, event: EndpointRequested) -> None:
        """Choose among hosts, builds, running servers, configured endpoints and APIs."""
        from tui.ui.answerers import find_answerers, find_servers
        from tui.ui.screens.endpoint_screen import EndpointScreen

        screen, hosts = EndpointScreen(), self.hosts
        self.push_screen(screen, lambda row: self._chosen(row) if row else None)
        self.errand(lambda workbench: find_answerers(workbench, hosts), screen.show_answerers, group="answerers")
        self.errand(find_servers, screen.add_answerers, group="servers")

    def _chosen(self, row: Answerer) -> None:
        if row.group == "build":
            self._load(row.ref)
        elif row.group == "pull":
            self._pull(row.ref, row.model)
        elif row.group == "unload":
            self.errand(
                lambda workbench: workbench.unload_from_ollama(row.ref, row.model),
                lambda _: self.tell(f"Ollama has unloaded {row.model}"),
            )
        else:
            self.choose_endpoint(row.ref, focus=True, model=row.model)

    def _pull(self, url: str, model: str) -> None:
        """Let Ollama pull a model, saying how far it is; then it answers. Ollama goes on by itself when we leave."""
        if self.chat_pane.pulling:
            self.tell("Ollama is pulling a model; esc in the chat stops it", severity="warning")
            return
        stop = self._pull_stop = threading.Event()
        self.chat_pane.show_pulling(f"{model}: asking Ollama")

        def show(pulled: Pulled) -> None:
            if not stop.is_set():
                self.chat_pane.show_pulling(f"{pull_text(model, pulled)}; esc stops it")

        def work(workbench: Workbench) -> None:
            for pulled in workbench.pull_with_ollama(url, model, stop):
                self.call_later(show, pulled)

        def over(_: object) -> None:
            self.chat_pane.show_pulling("")
            if stop.is_set():
                self.tell(f"{model} is not pulled any further; what came stays with Ollama, which goes on from there")
            else:
                stop.set()  # news of it that is still under way comes too late
                self.choose_endpoint(url, focus=True, model=model)

        def failed(error: HeftError) -> None:
            stop.set()
            self.chat_pane.show_pulling("")
            self.tell_error(error)

        self.errand(work, over, failed=failed)

    def stop_pull(self) -> None:
        """Stop what Ollama pulls for us."""
        if self._pull_stop is not None:
            self._pull_stop.set()

    if TYPE_CHECKING:  # other errands do these; a stub that runs would hide them

        def told_jobs(self, jobs: Sequence[Job]) -> None:
            """Say which jobs were asked for."""

        def ask_recipe(self, model: Model, build: Build | None = None) -> None:
            """Open the recipe screen."""

    # A host that died

    def _look_for_dead(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            ours = self._host_ref(job) == self.chat_ref or job.id in self.awaited
            if ours and job.kind is Kind.SERVE and job.state in _DIED and job.id not in self._buried:
                self._buried.add(job.id)
                self.awaited.discard(job.id)
                self._offer_remedies(job)

    def _offer_remedies(self, job: Job) -> None:
        """Put a card into the conversation: what happened, the numbers, and three ways out by one key each."""

        def show(numbers: str, found: Sequence[Remedy]) -> None:
            self.remedies = {remedy.kind: remedy for remedy in found}
            self._dead = job
            section = Section("card", card=host_card(job, numbers, found), source=["card"])
            self.chat_pane.transcript.add(section)
            self.chat_pane.transcript.show_end()
            self.chat_pane.set_remedies({remedy.kind: remedy.off for remedy in found})
            self.chat_pane.transcript.focus()

        def failed(error: HeftError) -> None:
            show(error.summary, ())

        self.errand(lambda workbench: workbench.remedies(job), lambda found: show(*found), failed=failed)

    def on_remedy_requested(self, event: RemedyRequested) -> None:
        """Load the model that died in another way."""
        from tui.catalog.model import Model

        remedy = self.remedies.get(event.kind)
        if remedy is None or remedy.off:
            return
        self.remedies = {}
        self.chat_pane.set_remedies({})
        if remedy.quantize:
            self.errand(
                lambda workbench: workbench.build(remedy.build),
                lambda build: self.ask_recipe(Model(id=build.model, name=build.model), build),
            )
        else:
            self._load(remedy.build, remedy.context, remedy.device)

    def load_again(self) -> bool:
        """Load the model of the host that died as it was; False when none has died."""
        dead, self._dead = self._dead, None
        if dead is None:
            return False
        self.remedies = {}
        self.chat_pane.set_remedies({})
        context = dead.spec.get("context")
        build_id = str(dead.spec.get("build") or dead.result.get("build") or dead.model)
        self._load(build_id, context if isinstance(context, int) else None)
        return True

    def take_model_sampling(self) -> None:
        """A new conversation begins as the user last set this model."""
        raise NotImplementedError

    def show_who(self) -> None:
        """Who answers, where, and how much of the context is used."""
        raise NotImplementedError
