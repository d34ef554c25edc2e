"""What a client may ask of a host: the protocol's JSON read into a typed request, or a refusal that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
MOST_ANSWERS = 16
MOST_LOGPROBS = 20


class RefusedError(Exception):
    """An answer other than 200: ``status`` and ``kind`` as the protocol has them, ``param`` the field at fault."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        """The protocol's error object."""
        kinds = {401: "authentication_error", 404: "not_found_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; None leaves a choice to the model's own defaults. ``temperature`` 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request for text. Exactly one of ``messages`` and ``prompt`` is set; a prompt may be text or token ids."""

    model: str
    messages: tuple[Json, ...] | None
    prompt: str | tuple[int, ...] | None
    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    template_arguments: Json
    go_on: bool = False
    """Continue the last message, which is the assistant's, instead of answering it."""
    answers: int = 1
    """How many answers are written, one after another."""
    logprobs: int | None = None
    """How many of the likeliest tokens are told beside each one written; 0 tells its own chance alone, None nothing."""

    @property
    def is_chat(self) -> bool:
        """Whether the answer has the shape of a chat."""
        return self.messages is not None


def parse_request(body: bytes, *, chat: bool) -> Request:
    """Read a body; raises ``RefusedError`` with status 400 that names the field."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "the body must be a JSON object", code="invalid_json")
    _refuse_what_is_not_done(value)
    options = _one(value, "stream_options", dict) or {}
    messages = _messages(value) if chat else None
    go_on = bool(_one(value, "continue_final_message", bool))
    if go_on and (messages is None or messages[-1]["role"] != "assistant"):
        raise _bad("continue_final_message", "needs an assistant's message at the end")
    return Request(
        model=_one(value, "model", str) or "",
        messages=messages,
        prompt=None if chat else _prompt(value),
        sampling=_sampling(value),
        max_tokens=_integer(value, "max_completion_tokens", 1) or _integer(value, "max_tokens", 1),
        stop=_stop(value),
        stream=bool(_one(value, "stream", bool)),
        include_usage=options.get("include_usage") is True,
        template_arguments=_one(value, "chat_template_kwargs", dict) or {},
        go_on=go_on,
        answers=_answers(value),
        logprobs=_logprobs(value, chat=chat),
    )


def _messages(value: Json) -> tuple[Json, ...]:
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad("messages", "must be a list of at least one message")
    return tuple(_message(item, f"messages[{place}]") for place, item in enumerate(messages))


def _message(item: Any, place: str) -> Json:
    if not isinstance(item, dict):
        raise _bad(place, "must be an object")
    role, content = item.get("role"), item.get("content")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise _bad(f"{place}.role", "must be system, developer, user, assistant or tool")
    if content is None:
        content = ""
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise _bad(f"{place}.content", "may hold parts of type text only: this host reads no images or audio")
        content = "".join(str(part.get("text") or "") for part in content)
    if not isinstance(content, str):
        raise _bad(f"{place}.content", "must be a text")
    return {"role": role, "content": _encodable(content, f"{place}.content")}


def _prompt(value: Json) -> str | tuple[int, ...]:
    prompt = value.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return _encodable(prompt, "prompt")
    if isinstance(prompt, list) and prompt and all(type(item) is int and item >= 0 for item in prompt):
        return tuple(prompt)
    raise _bad("prompt", "must be one text, or one list of token ids")


def _encodable(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(name, "holds half a character (a lone surrogate)") from None
    return text


def _sampling(value: Json) -> Sampling:
    return Sampling(
        temperature=_number(value, "temperature", 0, 5),
        top_p=_number(value, "top_p", 0, 1),
        top_k=_integer(value, "top_k", -1),
        min_p=_number(value, "min_p", 0, 1),
        repetition_penalty=_number(value, "repetition_penalty", 0.01, 10),
        frequency_penalty=_number(value, "frequency_penalty", -2, 2),
        presence_penalty=_number(value, "presence_penalty", -2, 2),
        seed=_integer(value, "seed", -(2**63)),
        logit_bias=_logit_bias(value),
    )


def _logit_bias(value: Json) -> dict[int, float]:
    table = _one(value, "logit_bias", dict) or {}
    try:
        bias = {int(token): float(amount) for token, amount in table.items()}
    except (TypeError, ValueError):
        raise _bad("logit_bias", "must map token ids to numbers") from None
    if not all(-100 <= amount <= 100 for amount in bias.values()):
        raise _bad("logit_bias", "must lie between -100 and 100")
    return bias


def _stop(value: Json) -> tuple[str, ...]:
    stop = value.get("stop")
    stops = [stop] if isinstance(stop, str) else ([] if stop is None else stop)
    if not isinstance(stops, list) or not all(isinstance(item, str) and item for item in stops) or len(stops) > 16:
        raise _bad("stop", "must be a text or a list of at most 16 texts, none of them empty")
    return tuple(stops)


def _answers(value: Json) -> int:
    wanted = _integer(value, "n", 1) or 1
    if wanted > MOST_ANSWERS:
        raise _bad("n", f"must be at most {MOST_ANSWERS}")
    if value.get("best_of") not in (None, wanted):
        raise _bad("best_of", "must be the same as n: this host writes no answers to throw them away")
    return wanted


def _logprobs(value: Json, *, chat: bool) -> int | None:
    """Both forms of the protocol: true and a number beside it for chats, the number itself for plain completions."""
    if not chat:
        count = _integer(value, "logprobs", 0)
    elif _one(value, "logprobs", bool):
        count = _integer(value, "top_logprobs", 0) or 0
    elif value.get("top_logprobs"):
        raise _bad("top_logprobs", "needs logprobs: true")
    else:
        return None
    if count is not None and count > MOST_LOGPROBS:
        raise _bad("top_logprobs" if chat else "logprobs", f"must be at most {MOST_LOGPROBS}")
    return count


def _refuse_what_is_not_done(value: Json) -> None:
    for name in ("tools", "functions", "echo", "suffix"):
        if value.get(name):
            raise _bad(name, "is not supported by this host")
    kind = value.get("response_format")
    if isinstance(kind, dict) and kind.get("type") not in (None, "text"):
        raise _bad("response_format", "may be text only")


def _one(value: Json, name: str, kind: type) -> Any:
    found = value.get(name)
    if found is None or isinstance(found, kind):
        return found
    words = {str: "a text", bool: "true or false", dict: "an object"}
    raise _bad(name, f"must be {words[kind]}")


def _number(value: Json, name: str, low: float, high: float) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise _bad(name, f"must be a number from {low:g} to {high:g}")
    return float(found)


def _integer(value: Json, name: str, low: int) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not low <= found < 2**64:
        raise _bad(name, f"must be a whole number of at least {low}")
    return found


def _bad(name: str, words: str) -> RefusedError:
    return RefusedError(400, f"{name} {words}", param=name, code="invalid_value")
