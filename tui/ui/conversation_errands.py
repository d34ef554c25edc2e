"""Kept conversations: the one on screen, its versions and branches, and older ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual.timer import Timer

from tui.chat.conversation import Conversation, Message
from tui.chat.presets import Sampling
from tui.ui.chat_turn import StreamBuffer
from tui.ui.conversations import Kept, Opening, default_sampling, keep, last_conversation
from tui.ui.lines.chat_lines import sections_of, who_line
from tui.ui.panes.chat_pane import ChatPane
from tui.ui.sampling_errands import SamplingErrands

if TYPE_CHECKING:
    from tui.ui.chat_messages import (
        ConversationsRequested,
        EditRequested,
        MessageAsked,
        NewChatRequested,
        VersionRequested,
    )
    from tui.ui.screens.conversations_screen import ConversationAsked
    from tui.workbench import Workbench

FOLLOW_SECONDS = 0.5
"""How often an answer that another process writes is read again."""


class ConversationErrands(SamplingErrands):
    """Keeps the present conversation and changes it for another."""

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__(workbench)
        self.messages: list[Message] = []
        self._beside = 0
        self._removed: list[int] = []
        self._stop: threading.Event | None = None
        self._buffer = StreamBuffer()
        self._timer: Timer | None = None
        self._following: Timer | None = None

    @property
    def chat_pane(self) -> ChatPane:
        """The pane."""
        return self.screen_stack[0].query_one(ChatPane)

    def action_pane(self, number: int) -> None:
        """Go to a pane."""
        raise NotImplementedError

    def show_who(self) -> None:
        """Who answers, where, and how much of the context is used."""
        raise NotImplementedError

    def open_chats(self) -> None:
        """Show the last conversation again, with the user's own defaults for the next one."""
        self.chat_pane.show_endpoint(who_line(None), False)

        def opened(opening: Opening) -> None:
            self.chat_pane.prompt.remember(opening.prompts)
            if opening.draft and not self.chat_pane.prompt.text:
                self.chat_pane.prompt.text = opening.draft
            if opening.conversation is not None:
                self.show_conversation(opening.conversation)

        if self.workbench is not None:
            self.sampling = default_sampling(self.workbench.settings.chat)
        self.errand(last_conversation, opened)

    def show_messages(self) -> None:
        """Draw the conversation from its messages."""
        pane = self.chat_pane
        pane.transcript.put(sections_of(self.messages, self.endpoint))
        answers = [message for message in self.messages if message.role == "assistant"]
        pane.last_answer = answers[-1].content if answers else ""
        pane.has_question = bool(self.messages)
        pane.refresh_bindings()
        self.show_who()

    def on_new_chat_requested(self, event: NewChatRequested) -> None:
        """An empty conversation; the old one is kept."""
        self.leave_conversation()
        self.messages, self.conversation, self._beside = [], 0, 0
        self.show_messages()
        self.action_pane(4)

    def leave_conversation(self) -> None:
        """Stop what still streams into this conversation; its answer is kept but not shown any more."""
        if self._following is not None:
            self._following.stop()
            self._following = None
            self.chat_pane.show_streaming(False)
        if self._stop is not None:
            self._stop.set()
            self._stop = None
            self.forget("answer")
            if self._timer is not None:
                self._timer.stop()
            self.chat_pane.show_streaming(False)

    def show_conversation(self, conversation: Conversation) -> None:
        """Go on with a conversation; an answer that another process writes into it is followed."""
        if conversation.id != self.conversation:
            self._removed.clear()
        self.leave_conversation()
        self.messages, self.conversation, self._beside = list(conversation.messages), conversation.id, 0
        self.sampling = Sampling(str(conversation.facts.get("system", self.sampling.system)), conversation.parameters)
        self.show_messages()
        if self.messages and self.messages[-1].is_streaming:
            self._follow()

    # An answer that another process writes

    def _follow(self) -> None:
        view = self.chat_pane.transcript
        view.reopen(view.sections[-1])
        self.chat_pane.show_streaming(True)
        self.chat_pane.set_note("asked before or in another window; esc stops it")
        self._following = self.set_interval(FOLLOW_SECONDS, self._look_again)

    def _look_again(self) -> None:
        conversation = self.conversation

        def work(workbench: Workbench) -> Conversation:
            workbench.transcripts().settle_abandoned()
            return workbench.transcripts().conversation(conversation)

        self.errand(work, self._followed, group="follow")

    def _followed(self, conversation: Conversation) -> None:
        if self._following is None or conversation.id != self.conversation:
            return
        last = conversation.messages[-1] if conversation.messages else None
        view = self.chat_pane.transcript
        if last is None or not last.is_streaming or last.thinking != self.messages[-1].thinking:
            self.chat_pane.set_note("")
            self.show_conversation(conversation)
            return
        more = last.content[len(view.sections[-1].text) :]
        if more:
            view.feed(view.sections[-1], more)
        self.messages = list(conversation.messages)

    # Versions and branches

    def _reshow(self, work_id: int, message_id: int = 0) -> None:
        """Read the conversation again and show it, with the message chosen."""

        def shown(conversation: Conversation) -> None:
            self.show_conversation(conversation)
            self.chat_pane.choose_message(message_id)

        self.errand(lambda bench: bench.transcripts().conversation(work_id), shown, group="conversation")

    def on_version_requested(self, event: VersionRequested) -> None:
        """Show another answer, or another wording of a question, with what followed it."""
        several = [message for message in self.messages if len(message.versions) > 1]
        wanted = [message for message in several if message.id == event.message_id] or several[-1:]
        if not wanted:
            self.tell("there is only one version: r asks again, u edits a question", severity="warning")
            return
        message, conversation = wanted[0], self.conversation
        at = message.versions.index(message.id) + event.step
        if not 0 <= at < len(message.versions):
            return
        other = message.versions[at]

        def work(workbench: Workbench) -> None:
            workbench.transcripts().show_version(conversation, other)

        self.errand(work, lambda _: self._reshow(conversation, other))

    def on_message_asked(self, event: MessageAsked) -> None:
        """Take a message out, bring it back, or go another way from it."""
        conversation = self.conversation
        if event.wish == "restore":
            if not self._removed:
                self.tell("no message was removed here", severity="warning")
                return
            back = self._removed.pop()
            self.errand(
                lambda bench: bench.transcripts().restore_one(conversation, back),
                lambda _: self._reshow(conversation, back),
            )
            return
        chosen = event.message_id or (self.messages[-1].id if self.messages else 0)
        if not chosen or not conversation:
            self.tell("this conversation is not kept", severity="warning")
        elif event.wish == "remove":

            def removed(_: None) -> None:
                self._removed.append(chosen)
                self._reshow(conversation)
                self.tell("removed; U takes it back")

            self.errand(lambda bench: bench.transcripts().remove_one(conversation, chosen), removed)
        else:
            self.errand(lambda bench: bench.transcripts().fork(conversation, chosen), self._forked)

    def _forked(self, conversation: Conversation) -> None:
        self.show_conversation(conversation)
        self.tell("this is a copy that goes its own way; o finds the other one")

    def on_edit_requested(self, event: EditRequested) -> None:
        """Take a question into the field; what is sent stands beside it as another version."""
        if self._beside:
            self._beside = 0
            self.chat_pane.set_note("")
            self.chat_pane.prompt.text = ""
            self._reshow(self.conversation)
            return
        questions = [place for place, message in enumerate(self.messages) if message.role == "user"]
        wanted = [place for place in questions if self.messages[place].id == event.message_id] or questions[-1:]
        if not wanted:
            return
        message = self.messages[wanted[0]]
        self._beside = message.id
        del self.messages[wanted[0] :]
        self.show_messages()
        self.chat_pane.has_question = True
        self.chat_pane.set_note("another wording; the old one is kept, u gives it up")
        prompt = self.chat_pane.prompt
        typed = message.facts.get("text")
        prompt.text = typed if isinstance(typed, str) else message.content
        prompt.move_cursor(prompt.document.end)
        prompt.focus()

    def take_edit(self) -> int:
        """The id of the message beside which the next question stands; 0 for none."""
        beside, self._beside = self._beside, 0
        return beside

    # Other conversations, and the sampling

    def on_conversations_requested(self, event: ConversationsRequested) -> None:
        """Choose an earlier conversation."""
        from tui.ui.screens.conversations_screen import ConversationsScreen

        def chosen(conversation_id: int | None) -> None:
            if conversation_id:
                self.errand(lambda bench: bench.transcripts().conversation(conversation_id), self.show_conversation)

        self.push_screen(ConversationsScreen(), chosen)

    def on_conversation_asked(self, event: ConversationAsked) -> None:
        """Search, rename, export, import, copy, delete or take back, then show the list again."""
        screen = event.screen

        def shown(result: Kept) -> None:
            screen.show_conversations(result.conversations, result.excerpts)
            if result.told:
                self.tell(result.told)

        self.errand(
            lambda workbench: keep(workbench, event.wish, event.conversation_id, event.text), shown, group="chats"
        )
