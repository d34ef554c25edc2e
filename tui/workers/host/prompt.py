"""From messages to the token ids that the model reads, through its own chat template in transformers' sandbox.

Marks like ``<|end|>`` that a person or a document wrote into a message are encoded as plain text, so nobody can end a
turn but the template. A model without a template gets its roles as plain labels, and says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tui.workers.host.request import RefusedError, Request
from tui.workers.host.text_stream import END_THINK, THINK
from tui.workers.template_bounds import bound_templates

_LABELS = {"system": "", "developer": "", "user": "User: ", "assistant": "Assistant: ", "tool": "Tool: "}
PLAIN_STOPS = ("\nUser:",)
"""Without a template nothing else ends a turn."""


class PromptMaker:
    """Holds one model's tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        bound_templates()
        self._tokenizer = tokenizer
        template = getattr(tokenizer, "chat_template", None)
        self.has_template = bool(template)
        self.may_think = THINK in str(template or "") or THINK in tokenizer.get_added_vocab()
        accepted = inspect.signature(tokenizer.apply_chat_template).parameters
        self._safe = {"sanitize_control_tokens": True} if "sanitize_control_tokens" in accepted else {}

    def ids(self, request: Request) -> list[int]:
        """The prompt's token ids; raises ``RefusedError`` where the template refuses or nothing is left to read."""
        if request.messages is not None:
            ids = self._chat(request.messages, request.template_arguments, request.go_on)
        elif isinstance(request.prompt, str):
            ids = list(self._tokenizer(request.prompt)["input_ids"])
        else:
            ids = list(request.prompt or ())
            if max(ids) >= len(self._tokenizer):
                raise RefusedError(400, f"prompt holds token {max(ids)}, the vocabulary ends before", param="prompt")
        if not ids and self._tokenizer.bos_token_id is not None:
            ids = [self._tokenizer.bos_token_id]
        if not ids:
            raise RefusedError(400, "the prompt is empty", param="messages" if request.is_chat else "prompt")
        return ids

    def stops(self, request: Request) -> tuple[str, ...]:
        """The texts that end this answer."""
        return request.stop + (PLAIN_STOPS if request.is_chat and not self.has_template else ())

    def begins_thinking(self, ids: Sequence[int]) -> bool:
        """Whether the template has opened the thinking itself, so that the answer begins inside it."""
        if not self.may_think:
            return False
        end = self.decode(ids[-8:]).rstrip()
        return end.endswith(THINK) and END_THINK not in end

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _chat(
        self, messages: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any], go_on: bool = False
    ) -> list[int]:
        if not self.has_template:
            return list(self._tokenizer(plain_text_of(messages, go_on))["input_ids"])
        reserved = {
            "tokenize",
            "conversation",
            "chat_template",
            "return_dict",
            "return_tensors",
            "add_generation_prompt",
            "continue_final_message",
        }
        extra = {name: value for name, value in arguments.items() if name.isidentifier() and name not in reserved}
        try:
            encoded = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                add_generation_prompt=not go_on,
                continue_final_message=go_on,
                tokenize=True,
                return_dict=True,
                **{**extra, **self._safe},
            )
        except Exception as error:  # a template is a program of strangers; whatever it does is its refusal
            words = " ".join(str(error).split())[:300] or type(error).__name__
            raise RefusedError(
                400,
                f"the model's chat template refuses these messages: {words}",
                param="messages",
                code="template_error",
            ) from None
        return list(encoded["input_ids"])


def plain_text_of(messages: Sequence[Mapping[str, Any]], go_on: bool = False) -> str:
    """The conversation with plain labels, open for the assistant to answer, or to go on with its last message."""
    turns = [f"{_LABELS[message['role']]}{message['content'].strip()}" for message in messages]
    return "\n".join(turns if go_on else [*turns, "Assistant:"])
