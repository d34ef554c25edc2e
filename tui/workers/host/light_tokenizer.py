"""A tokenizer without transformers: the ``tokenizers`` library with what transformers has told of the folder.

Gives the ids and texts that transformers' own gives for the same folder; tests hold the two against each other. What a
person wrote into a message that looks like a mark of the template is encoded as plain text, in the same way
(transformers' ``mark_control_tokens`` and ``encode_marked_chat``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.workers.host.chat_template import template_environment

_START, _END = "\U000f0000", "\U000f0001"
"""Around a mark that stands in a message."""
_GO_ON = "CONTINUE_FINAL_MESSAGE_TAG "
_NOT_FOR_TEMPLATES = frozenset(
    ("padding", "truncation", "max_length", "return_tensors", "return_assistant_tokens_mask", "tokenizer_kwargs")
)


class LightTokenizer:
    """One tokenizer, in transformers' words. ``facts`` are those of ``small_files``; raises what ``tokenizers`` raises
    for a damaged file."""

    def __init__(self, file: Path, facts: Mapping[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._backend = Tokenizer.from_file(str(file))
        self._backend.no_padding()
        self._backend.no_truncation()
        self.chat_template: str | None = facts["chat_template"]
        self.bos_token_id: int | None = facts["bos_token_id"]
        self.eos_token_id: int | None = facts["eos_token_id"]
        self.model_max_length: int | None = facts["model_max_length"]
        self._unknown: int | None = facts["unk_token_id"]
        self._names = dict(facts["names"])
        self._marks = re.compile(_any_of(facts["marks"]))
        self._marked = re.compile(f"{_START}({_any_of(self.get_added_vocab())}){_END}|[{_START}{_END}]")
        self._compiled: Any = None

    def __len__(self) -> int:
        """Size of the vocabulary with the added tokens."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def __call__(self, text: str) -> dict[str, list[int]]:
        """The ids of ``text``, framed as the model begins and ends a text."""
        return {"input_ids": self._ids(text, True)}

    def get_added_vocab(self) -> dict[str, int]:
        """The added tokens and their ids, in the order of these."""
        added = self._backend.get_added_tokens_decoder()
        return {token.content: place for place, token in sorted(added.items())}

    def decode(self, ids: Sequence[int], skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """The text of ``ids``; spaces are never cleaned up."""
        assert not clean_up_tokenization_spaces
        return str(self._backend.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, Any]],
        tools: Any = None,
        documents: Any = None,
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        return_dict: bool = True,
        sanitize_control_tokens: bool = True,
        **more: Any,
    ) -> dict[str, list[int]]:
        """The ids of a chat through the template; raises whatever the template raises, and ``ValueError``."""
        assert tokenize and return_dict and sanitize_control_tokens
        for name, given in (("tools", tools), ("documents", documents)):
            if given is not None and not (isinstance(given, list) and all(isinstance(item, dict) for item in given)):
                raise ValueError(f"{name} must be a list of objects")
        if self._compiled is None:
            self._compiled = template_environment().from_string(self.chat_template or "")
        messages = [dict(self._mark(message)) for message in conversation]
        last = str(messages[-1]["content"])
        if continue_final_message:
            if "content" not in (self.chat_template or ""):
                raise ValueError("the template takes no content that could be gone on with")
            messages[-1]["content"] = last + _GO_ON
        named = {name: self._mark(value) for name, value in more.items() if name not in _NOT_FOR_TEMPLATES}
        chat = self._compiled.render(
            messages=messages,
            tools=self._mark(tools),
            documents=self._mark(documents),
            add_generation_prompt=add_generation_prompt,
            **{**self._names, **named},
        )
        return {"input_ids": self._encoded(_cut(chat, last) if continue_final_message else chat)}

    def _mark(self, value: Any) -> Any:
        """``value`` with what looks like a mark wrapped, in all texts in it; keys stay."""
        if isinstance(value, str):
            plain = value.replace(_START, "").replace(_END, "")
            return self._marks.sub(f"{_START}\\g<0>{_END}", plain)
        if isinstance(value, Mapping):
            return {key: self._mark(item) for key, item in value.items()}
        return [self._mark(item) for item in value] if isinstance(value, list | tuple) else value

    def _encoded(self, chat: str) -> list[int]:
        pieces = self._marked.split(chat)
        line_end = self._ids("\n")
        ids = self._ids(pieces[0])
        for place, piece in enumerate(pieces[1:], 1):
            if not piece:
                continue
            as_text = place % 2 == 1
            found = self._piece(piece, as_text, line_end)
            if as_text and self._id(piece) in found:
                raise ValueError(f"{piece!r} cannot be written as plain text with this tokenizer")
            ids += found
        return ids

    def _piece(self, piece: str, as_text: bool, line_end: list[int]) -> list[int]:
        """The ids of a piece from the middle: behind a line end, which goes again, because some tokenizers put a space
        before the beginning of a text."""
        encode = self._plain_ids if as_text else self._ids
        found = encode("\n" + piece)
        return found[len(line_end) :] if found[: len(line_end)] == line_end else encode(piece)

    def _ids(self, text: str, framed: bool = False) -> list[int]:
        return list(self._backend.encode_batch([text], add_special_tokens=framed)[0].ids)

    def _plain_ids(self, text: str) -> list[int]:
        """Without looking for added tokens."""
        backend = self._backend
        if backend.normalizer is not None:
            text = backend.normalizer.normalize_str(text)
        splits = [text]
        if backend.pre_tokenizer is not None:
            splits = [split for split, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
        return [token.id for split in splits for token in backend.model.tokenize(split)]

    def _id(self, token: str) -> int | None:
        found = self._backend.token_to_id(token)
        return self._unknown if found is None else int(found)


def _any_of(texts: Sequence[str] | Mapping[str, int]) -> str:
    """A pattern for any of ``texts``, the longer ones first."""
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)"


def _cut(chat: str, last: str) -> str:
    """``chat`` up to the end of its last message, to which ``_GO_ON`` was added."""
    if last.strip() not in chat or _GO_ON.strip() not in chat:
        raise ValueError("the last message does not stand in the prompt")
    at = chat.rindex(_GO_ON.strip())
    return chat[:at] if chat[at : at + len(_GO_ON)] == _GO_ON else chat[:at].rstrip()
