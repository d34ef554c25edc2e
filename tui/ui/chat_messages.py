"""What the chat pane asks for."""

from __future__ import annotations

from tui.ui.request import Request


class ChatRequested(Request):
    """Chat with an API model, a build or a host: ``ref`` is what ``Workbench.endpoint`` resolves."""

    ref: str


class PromptSubmitted(Request):
    """The user sent ``text``."""

    text: str


class StopRequested(Request):
    """Stop the answer that streams; what came is kept."""


class RegenerateRequested(Request):
    """Answer again, beside the answer ``message_id`` (0: the last one)."""

    message_id: int = 0


class NewChatRequested(Request):
    """Begin an empty conversation."""


class EndpointRequested(Request):
    """Choose who answers."""


class ConversationsRequested(Request):
    """Choose an earlier conversation."""


class ParametersRequested(Request):
    """Change the system prompt and the sampling."""


class EditRequested(Request):
    """Take the question ``message_id`` (0: the last one) into the field; what is sent stands beside it."""

    message_id: int = 0


class ContinueRequested(Request):
    """Go on with the last answer, which was cut."""


class VersionRequested(Request):
    """Show the version before (-1) or after (1) the message ``message_id`` (0: the last one that has several)."""

    step: int
    message_id: int = 0


class MessageAsked(Request):
    """Do something with the message ``message_id``: ``wish`` is "remove", "restore" or "fork"."""

    wish: str
    message_id: int = 0


class AttachRequested(Request):
    """Choose a text file to send with the next question."""


class RemedyRequested(Request):
    """Load the model of the host that died in another way: ``kind`` is "context", "precision" or "device"."""

    kind: str
