"""What the keys of the chat pane ask for, where that can be done now; the app does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tui.ui.chat_messages import (
    AttachRequested,
    ContinueRequested,
    ConversationsRequested,
    EditRequested,
    EndpointRequested,
    MessageAsked,
    NewChatRequested,
    ParametersRequested,
    RegenerateRequested,
    RemedyRequested,
    VersionRequested,
)
from tui.ui.messages import StarterRequested
from tui.ui.panes.pane import Pane
from tui.ui.widgets.prompt_input import PromptInput
from tui.ui.widgets.transcript_view import TranscriptView

if TYPE_CHECKING:
    from tui.chat.attachment import Attachment


class ChatWishes(Pane):
    """A pane with a conversation about which something can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.streaming = False
        self.pulling = False
        self.has_endpoint = False
        self.last_answer = ""
        self.has_question = False
        self.files: list[Attachment] = []
        self._remedies: Mapping[str, str] = {}

    @property
    def transcript(self) -> TranscriptView:
        """The conversation."""
        return self.query_one(TranscriptView)

    @property
    def prompt(self) -> PromptInput:
        """The field."""
        return self.query_one(PromptInput)

    @property
    def chosen_message(self) -> int:
        """The id of the message that is chosen in the transcript; 0 for none."""
        section = self.transcript.chosen_section
        return section.message_id if section else 0

    def why_not(self, action: str) -> str:
        """What can be done now."""
        busy = self.streaming or self.pulling
        if action == "stop" and not busy and not self.prompt.has_focus and not self.transcript.chosen:
            return "nothing is being answered"
        if action in ("regenerate", "edit", "continue", "remove", "fork", "version", "restore"):
            if self.streaming:
                return "an answer is still under way; esc stops it"
            if not self.has_question:
                return "nothing was asked yet"
        if action == "starter" and self.has_endpoint:
            return "somebody answers already; e chooses who"
        if action == "copy" and not self.last_answer and not self.transcript.chosen:
            return "there is no answer yet"
        if action == "copy_all" and not self.has_question:
            return "there is nothing to copy yet"
        if action == "remedy" and not self._remedies:
            return "no host has died here"
        return ""

    def action_starter(self) -> None:
        """Get the model that ships with Heft and load it."""
        if not self.refuses("starter"):
            self.post_message(StarterRequested())

    def action_write(self) -> None:
        """Go to the field."""
        self.prompt.focus()

    def action_endpoint(self) -> None:
        """Choose who answers."""
        self.post_message(EndpointRequested())

    def action_new(self) -> None:
        """Begin anew."""
        self.post_message(NewChatRequested())

    def action_older(self) -> None:
        """Choose an earlier conversation."""
        self.post_message(ConversationsRequested())

    def action_parameters(self) -> None:
        """System prompt and sampling."""
        self.post_message(ParametersRequested())

    def action_regenerate(self) -> None:
        """Answer again, the question that is chosen or the last one; the old answer stays as a version."""
        if not self.refuses("regenerate"):
            self.post_message(RegenerateRequested(self.chosen_message))

    def action_edit(self) -> None:
        """Ask the question that is chosen, or the last one, in other words; the old one stays as a version."""
        if not self.refuses("edit"):
            self.post_message(EditRequested(self.chosen_message))

    def action_continue(self) -> None:
        """Go on with an answer that was cut."""
        if not self.refuses("continue"):
            self.post_message(ContinueRequested())

    def action_version(self, step: int) -> None:
        """Another answer to the same question, or another wording of it."""
        if not self.refuses("version"):
            self.post_message(VersionRequested(step, self.chosen_message))

    def action_remove(self) -> None:
        """Take the message that is chosen, or the last one, out of the conversation."""
        if not self.refuses("remove"):
            self.post_message(MessageAsked("remove", self.chosen_message))

    def action_restore(self) -> None:
        """Bring the message that was removed last back."""
        if not self.refuses("restore"):
            self.post_message(MessageAsked("restore"))

    def action_fork(self) -> None:
        """Go another way from the message that is chosen, or the last one, in a copy."""
        if not self.refuses("fork"):
            self.post_message(MessageAsked("fork", self.chosen_message))

    def action_attach(self) -> None:
        """Send a text file with the next question."""
        self.post_message(AttachRequested())

    def action_remedy(self, kind: str) -> None:
        """Take one of the ways out that the card of a dead host offers."""
        if self.refuses("remedy"):
            return
        if reason := self._remedies.get(kind):
            self.app.notify(reason, severity="warning", markup=False)
        else:
            self.post_message(RemedyRequested(kind))
