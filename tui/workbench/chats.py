"""Who answers: hosts, endpoints and servers; conversations and presets."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from tui.catalog.build import Build
from tui.chat.answering import AnsweringProcesses
from tui.chat.client import ChatClient, Delta
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.facts import answering_facts
from tui.chat.keys import need_key
from tui.chat.ollama import Pulled, pull, unload
from tui.chat.presets import Preset, Presets, Sampling
from tui.chat.probe import Running, find_running, known_endpoint
from tui.chat.providers import Provider
from tui.chat.resolve import (
    api_endpoint,
    configured_endpoint,
    host_endpoint,
    named_model,
    priced_endpoint,
    url_endpoint,
)
from tui.chat.transcript_store import TranscriptStore
from tui.chat.turn import Sink, Turn, TurnOver, take_turn
from tui.errors import HeftError, NotFoundError
from tui.jobs.job import Job, Kind, State
from tui.workbench.queue import QueueRequests

IDLE_MINUTES = 30
"""A host that was started only to answer a chat leaves after so long without a request."""


class ChatRequests(QueueRequests):
    """Requests about chat."""

    _answering: AnsweringProcesses | None = None

    def let_answers_outlive(self) -> None:
        """From now on a process of its own asks for each answer and keeps it, and finishes it without this one."""
        self._answering = AnsweringProcesses(self.paths.chats, self.paths.app_log)

    @property
    def answers_outlive(self) -> bool:
        """Whether an answer that is under way goes on when this process ends."""
        return self._answering is not None and self._answering.can_start

    def prepare_answers(self) -> None:
        """Somebody will ask soon."""
        if self._answering is not None:
            self._answering.prepare()

    def close(self) -> None:
        """Let go of everything; an answer that outlives this process goes on, as jobs do."""
        if self._answering is not None:
            self._answering.close()
        super().close()

    def hosts(self) -> list[Job]:
        """The serve jobs that answer now."""
        return [job for job in self.jobs() if job.kind is Kind.SERVE and job.state is State.READY]

    def endpoint(self, ref: str, model: str = "") -> Endpoint:
        """Where to reach ``ref``: a ready host, a configured endpoint, an API model or a URL; ``model`` names one of
        its models. A server on this machine is asked what it is, so that its context is known."""
        endpoint = self._endpoint(ref)
        if model:
            endpoint = named_model(endpoint, model, self._catalog.models)
        return priced_endpoint(known_endpoint(endpoint), self.settings.prices)

    def _endpoint(self, ref: str) -> Endpoint:
        for job in self.hosts():
            if ref in (str(job.id), job.model, job.result.get("build"), job.result.get("model")):
                return host_endpoint(job.result)
        if ref.startswith(("http://", "https://", "unix:")):
            return url_endpoint(ref)
        for configured in self.settings.endpoints:
            if ref == configured.name:
                endpoint = configured_endpoint(configured)
                return named_model(endpoint, endpoint.model, self._catalog.models) if endpoint.model else endpoint
        row = self._catalog.find(ref)
        if row is not None and row.is_api:
            return api_endpoint(row)
        raise NotFoundError(f"nothing answers under the name {ref!r}", f"load it first: heft serve {ref}")

    def chat(
        self,
        endpoint: Endpoint,
        messages: Sequence[Message],
        parameters: Parameters | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """Stream an answer; setting ``stop`` ends it and keeps what came."""
        return ChatClient(endpoint).stream(messages, parameters or Parameters(), stop)

    def take_turn(self, turn: Turn, sink: Sink, stop: threading.Event) -> TurnOver:
        """Ask and keep: the question at once, the answer while it streams into ``sink``."""
        over = self._answering.take_turn(turn, sink, stop) if self._answering is not None else None
        return over or take_turn(self.transcripts, turn, sink, stop, ChatClient(turn.endpoint))

    def provider_endpoint(self, provider: Provider) -> Endpoint:
        """A commercial API as a whole; raises ``NotAllowedError`` without its key."""
        return Endpoint(provider.name, provider.base_url, api_key=need_key(provider.key_env, provider.name))

    def servers(self) -> list[Running]:
        """The servers of the protocol that other programs run on this machine: Ollama, LM Studio, vLLM, ..."""
        return [found for found in find_running() if found.kind != "heft"]

    def pull_with_ollama(self, url: str, model: str, stop: threading.Event | None = None) -> Iterator[Pulled]:
        """Let the Ollama at ``url`` pull a model."""
        return pull(Endpoint("Ollama", url), model, stop)

    def unload_from_ollama(self, url: str, model: str) -> None:
        """Take a model out of the memory of the Ollama at ``url``."""
        unload(Endpoint("Ollama", url), model)

    def count_tokens(self, endpoint: Endpoint, text: str) -> int | None:
        """Tokens of ``text`` by the endpoint's own tokenizer; None where it does not tell."""
        return ChatClient(endpoint).count_tokens(text)

    def presets(self, model: str) -> list[Preset]:
        """The presets for ``model``: the user's own, what its makers recommend, and those of Heft."""
        try:
            folder = self.build(model).path
        except HeftError:
            folder = None
        return self._presets.of(model, folder)

    def keep_preset(self, model: str, name: str, sampling: Sampling) -> None:
        """Keep a preset of the user's own for ``model``."""
        self._presets.keep(model, name, sampling)

    @cached_property
    def _presets(self) -> Presets:
        return Presets(self.paths.data / "presets.json")

    def chat_facts(self, ref: str) -> dict[str, Any]:
        """What an answer of the host ``ref`` depends on; nothing for an endpoint that is not ours."""
        job = next((job for job in self.hosts() if str(job.id) == ref), None)
        if job is None:
            return {}
        try:
            build: Build | None = self.build(str(job.result.get("build") or job.model))
        except HeftError:
            build = None
        return answering_facts(job.result, build)

    @cached_property
    def _transcripts(self) -> TranscriptStore:
        return TranscriptStore(self.paths.chats)

    def transcripts(self) -> TranscriptStore:
        """The conversations of this user."""
        return self._transcripts
