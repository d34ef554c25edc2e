"""A chat template without transformers: Jinja in a sandbox, with what templates are written for.

Templates are programs of strangers, so they get the immutable sandbox. What a person wrote into a message that looks
like a special token is taken out before the template sees it and comes back as plain text, so nobody but the template
ends a turn. The same names are given as transformers gives (``chat_template_utils``).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tui.workers.host.request import RefusedError
from tui.workers.template_bounds import bound_templates

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"


class ChatTemplate:
    """One template. ``marks`` are the texts of special tokens; ``names`` what the template may use: bos_token, ..."""

    def __init__(self, source: str, marks: Sequence[str], names: Mapping[str, str]) -> None:
        environment = template_environment()
        self._names = dict(names)
        self._marks = [mark for mark in sorted(marks, key=len, reverse=True) if mark]
        self._found = re.compile("|".join(map(re.escape, self._marks))) if self._marks else None
        self._problem = ""
        self._template: Any = None
        try:
            self._template = environment.from_string(source)
        except Exception as error:  # told when somebody chats: completions work without it
            self._problem = _words(error)

    def render(
        self, messages: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any], go_on: bool = False
    ) -> list[tuple[str, bool]]:
        """The prompt in pieces: text, and whether special tokens are read in it; with ``go_on`` it ends inside the last
        message, which is to be gone on with. Raises ``RefusedError``."""
        if self._template is None:
            raise _refusal(self._problem)
        nonce = secrets.token_hex(8)
        written: list[str] = []
        safe = [{**message, "content": self._taken_out(message["content"], nonce, written)} for message in messages]
        reserved = {"messages", "add_generation_prompt", *self._names}
        extra = {name: value for name, value in arguments.items() if name.isidentifier() and name not in reserved}
        try:
            text = self._template.render(
                messages=safe, add_generation_prompt=not go_on, tools=None, **self._names, **extra
            )
            text = _cut_behind(text, str(safe[-1]["content"])) if go_on else text
        except Exception as error:  # whatever a stranger's program does is its refusal
            raise _refusal(_words(error)) from None
        pieces = re.split(f"{_OPEN}{nonce}:(\\d+){_CLOSE}", text)
        found = [
            (piece, True) if place % 2 == 0 else (written[int(piece)], False) for place, piece in enumerate(pieces)
        ]
        return [(piece, trusted) for piece, trusted in found if piece]

    def _taken_out(self, content: str, nonce: str, written: list[str]) -> str:
        if self._found is None:
            return content

        def replace(match: re.Match[str]) -> str:
            written.append(match[0])
            return f"{_OPEN}{nonce}:{len(written) - 1}{_CLOSE}"

        return self._found.sub(replace, content)


def template_environment() -> Any:
    """Jinja's immutable sandbox with what chat templates are written for; large results are refused in it."""
    from jinja2 import TemplateError, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):  # type: ignore[misc]
        """``{% generation %}`` marks what the model wrote, which matters for training alone."""

        tags = {"generation"}  # noqa: RUF012 - Jinja's own protocol

        def parse(self, parser: Any) -> Any:
            """The body as it is."""
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    class PlainNamespace(Namespace):  # type: ignore[misc]
        """Takes no names of Python's insides."""

        def __setitem__(self, name: str, value: Any) -> None:
            if isinstance(name, str) and name.startswith("_"):
                raise SecurityError(f"chat templates may not store {name!r} in a namespace")
            super().__setitem__(name, value)

    def namespace(*values: Any, **named: Any) -> Namespace:
        made = PlainNamespace()
        for name, value in dict(*values, **named).items():
            made[name] = value
        return made

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
        kept = {name: more[name] for name in ("separators", "sort_keys") if name in more}
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **kept)

    bound_templates()
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = tojson
    environment.globals["namespace"] = namespace
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _cut_behind(text: str, last: str) -> str:
    """``text`` up to the end of the last message as the template wrote it, some of them without spaces around."""
    for shown in (last, last.strip()):
        at = text.rfind(shown)
        if at >= 0 and shown:
            return text[: at + len(shown)]
    raise ValueError("the last message does not stand in the prompt")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _refusal(words: str) -> RefusedError:
    return RefusedError(
        400, f"the model's chat template refuses these messages: {words}", param="messages", code="template_error"
    )
