"""What the chat pane asks for: streaming an answer, stopping it, asking again, going on.

The stream is read in a thread into a buffer; a timer on the event loop takes out whatever has come, so a fast model
costs as many drawings as a slow one.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual import constants

from tui.chat.context_window import used_tokens
from tui.chat.conversation import Message
from tui.ui.chat_turn import StreamBuffer
from tui.ui.conversations import default_sampling
from tui.ui.host_errands import HostErrands
from tui.ui.lines.chat_lines import answer_footer, user_section, version_text, who_line

if TYPE_CHECKING:
    from tui.chat.presets import Sampling
    from tui.chat.turn import TurnOver
    from tui.ui.chat_messages import (
        ContinueRequested,
        NewChatRequested,
        PromptSubmitted,
        RegenerateRequested,
        StopRequested,
    )
    from tui.ui.widgets.transcript_view import Section
    from tui.workbench import Workbench

FRAME = max(1 / 20, 1 / constants.MAX_FPS)
"""Seconds between two looks at the buffer of a stream."""

SURE_SECONDS = 5.0
"""Within so long a second press of quit ends an answer that is under way."""

OUTLIVE_SECONDS = 3600.0
"""How long an app whose terminal is gone stays to finish an answer."""


class ChatErrands(HostErrands):
    """Streams answers."""

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__(workbench)
        self._sections: list[Section] = []
        self._going_on: Section | None = None
        self._answer_over = threading.Event()
        self._answer_over.set()
        self._quit_asked = 0.0
        self._used = 0

    def take_model_sampling(self) -> None:
        """A new conversation begins with the user's defaults and, where one is kept, the preset called "default"."""
        model = self.sampling_model
        if self.messages or not model:
            return

        def found(sampling: Sampling) -> None:
            if not self.messages:
                self.sampling = sampling

        def work(workbench: Workbench) -> Sampling:
            kept = [preset.sampling for preset in workbench.presets(model) if preset.name == "default"]
            return kept[0] if kept else default_sampling(workbench.settings.chat)

        self.errand(work, found, group="sampling")

    def on_new_chat_requested(self, event: NewChatRequested) -> None:
        """An empty conversation, with what is kept for the model."""
        super().on_new_chat_requested(event)
        self.take_model_sampling()

    def show_who(self) -> None:
        """Who answers, where, and how much of the context is used."""
        if self.endpoint is None:
            return
        self._used = used_tokens(self.messages, self.sampling.system) if self.messages else 0
        self.show_written(0, ready=True)

    def show_written(self, tokens: int, *, ready: bool = False) -> None:
        """How many tokens stand in the field."""
        if self.endpoint is None:
            return
        who = who_line(self.endpoint, self.device_note, self._used, self.endpoint.context, tokens)
        if ready:
            self.chat_pane.show_endpoint(who, True)
        else:
            self.chat_pane.show_who(who)

    # An answer

    def on_prompt_submitted(self, event: PromptSubmitted) -> None:
        """Send what was written, with the files that go with it."""
        from tui.chat.attachment import with_attachments

        if self.endpoint is None:
            self.tell("nobody answers yet: g on a model loads it, e chooses who answers", severity="warning")
            return
        pane = self.chat_pane
        content, facts = with_attachments(event.text, pane.take_files())
        pane.prompt.sent(event.text)
        question = Message("user", content, facts=facts)
        self.messages.append(question)
        pane.set_note("")
        pane.transcript.add(user_section(question))
        self._answer(question=question, beside=self.take_edit())

    def on_regenerate_requested(self, event: RegenerateRequested) -> None:
        """Answer once more; the answers that are there stay as versions. Where the host has died, load it first."""
        if self.endpoint is None and self.load_again():
            self.tell("loaded again as it was; r asks again as soon as it answers")
            return
        places = [place for place, message in enumerate(self.messages) if message.id == event.message_id]
        cut = places[0] if places and event.message_id else len(self.messages)
        while cut and self.messages[cut - 1].role == "assistant":
            cut -= 1
        if cut and cut < len(self.messages) and self.messages[cut].role == "user":
            cut += 1
        if not cut or self.endpoint is None:
            self.tell("nobody answers yet: e chooses who answers", severity="warning")
            return
        dropped = self.messages[cut:]
        del self.messages[cut:]
        self.show_messages()
        self._answer(beside=dropped[0].id if dropped else 0)

    def on_continue_requested(self, event: ContinueRequested) -> None:
        """Go on with the last answer where it was cut."""
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != "assistant" or not last.content or self.endpoint is None:
            self.tell("there is no cut answer to go on with", severity="warning")
            return
        view = self.chat_pane.transcript
        self._going_on = next((one for one in reversed(view.sections) if one.role == "assistant"), None)
        if self._going_on is not view.sections[-1]:
            self.show_messages()
            self._going_on = view.sections[-1]
        view.reopen(self._going_on)
        self._answer(go_on=True)

    def _answer(self, *, question: Message | None = None, beside: int = 0, go_on: bool = False) -> None:
        from tui.chat.turn import Turn

        assert self.endpoint is not None
        stop, buffer, over = threading.Event(), StreamBuffer(), threading.Event()
        self._stop, self._buffer, self._answer_over = stop, buffer, over
        facts: dict[str, Any] = {"system": self.sampling.system} if self.sampling.system else {}
        turn = Turn(
            self.endpoint,
            tuple(self.messages),
            self.sampling.parameters,
            self.sampling.system,
            self.conversation,
            question,
            beside,
            go_on,
            facts | self.endpoint_facts,
        )
        pane = self.chat_pane
        pane.show_streaming(True)
        if go_on and self._going_on is not None:
            self._sections = [self._going_on]
        else:
            self._sections = [pane.transcript.open("assistant")]
            pane.transcript.relay_from(len(pane.transcript.sections) - 1)
        self._timer = self.set_interval(FRAME, self._drain)

        def work(workbench: Workbench) -> TurnOver:
            try:
                return workbench.take_turn(turn, buffer.put, stop)
            finally:
                over.set()

        self.errand(work, self._answered, group="answer")

    def _drain(self) -> None:
        """Draw what came since the last look."""
        view = self.chat_pane.transcript
        for role, text, pieces in self._buffer.take():
            if role == "notice":
                self.chat_pane.set_note(text)
                continue
            self.chat_pane.set_note("")
            section = self._sections[-1]
            if not section.source and section.role != role:
                section.role = role
            elif section.role != role:
                view.close(section)
                section = view.open(role)
                self._sections.append(section)
                view.relay_from(len(view.sections) - 1)
            view.feed(section, text, pieces)

    def _answered(self, over: TurnOver) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._drain()
        pane = self.chat_pane
        answer = next((one for one in reversed(over.messages) if one.id == over.answer.id), over.answer)
        section = self._sections[-1]
        section.message_id = answer.id
        pane.transcript.close(section, answer_footer(answer, self.endpoint))
        self._stop = None
        self.messages, self.conversation = list(over.messages), over.conversation
        self._name_question(over.messages)
        self.show_who()
        pane.last_answer = answer.content
        pane.has_question = True
        pane.set_note("")
        pane.show_streaming(False)
        if over.not_kept:
            self.tell(f"this answer is not kept: {over.not_kept}", severity="warning")

    def _name_question(self, messages: Sequence[Message]) -> None:
        """The question on screen learns under which id it is kept, and that it is one of several."""
        view = self.chat_pane.transcript
        asked = [message for message in messages if message.role == "user"]
        shown = [place for place, section in enumerate(view.sections) if section.role == "user"]
        if asked and shown:
            section = view.sections[shown[-1]]
            section.message_id, section.beside = asked[-1].id, version_text(asked[-1])
            if section.beside:
                view.relay_from(shown[-1])

    def on_stop_requested(self, event: StopRequested) -> None:
        """Stop; what came stays. An answer of another process is asked to stop; without any, a pull ends."""
        if self._stop is not None:
            self._stop.set()
        elif self.chat_pane.pulling:
            self.stop_pull()
        elif self._following is not None and self.messages:
            message_id = self.messages[-1].id
            self.errand(lambda bench: bench.transcripts().ask_stop(message_id))

    # Leaving

    @property
    def answer_goes_on(self) -> bool:
        """An answer is under way that is finished and kept without this process."""
        return self.workbench is not None and self.workbench.answers_outlive and not self._answer_over.is_set()

    async def action_quit(self) -> None:
        """Leave; an answer that would end with this process is only ended when that is asked twice."""
        is_sure = self.answer_goes_on or time.monotonic() - self._quit_asked <= SURE_SECONDS
        if self._stop is not None and not is_sure:
            self._quit_asked = time.monotonic()
            self.tell("an answer is still under way; once more leaves and keeps what came so far", severity="warning")
            return
        await super().action_quit()

    def outlive_terminal(self) -> None:
        """The terminal is gone: finish an answer that would end with this process, so that it is there for the next
        one."""
        is_hung_up = self.return_code == 128 + signal.SIGHUP
        if is_hung_up and not self._answer_over.is_set() and not self.answer_goes_on:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._answer_over.wait(OUTLIVE_SECONDS)
