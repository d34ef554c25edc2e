"""What a host takes and what it refuses, with the field named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tui.workers.host.prompt import plain_text_of
from tui.workers.host.request import RefusedError, parse_request

HELLO = [{"role": "user", "content": "hello"}]


def parsed(value: Any, *, chat: bool = True) -> Any:
    return parse_request(json.dumps(value).encode(), chat=chat)


def test_a_whole_request_is_read() -> None:
    request = parsed(
        {
            "model": "m",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "temperature": 0,
            "top_k": 3,
            "seed": -5,
            "stop": "x",
            "max_tokens": 9,
            "max_completion_tokens": 7,
            "logit_bias": {"5": -1},
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": "ignored",
        }
    )
    assert request.messages == ({"role": "user", "content": "ab"},)
    assert (request.sampling.temperature, request.sampling.top_k, request.sampling.seed) == (0.0, 3, -5)
    assert (request.stop, request.max_tokens, request.sampling.logit_bias) == (("x",), 7, {5: -1.0})
    assert request.stream and request.include_usage and request.is_chat


def test_chances_and_several_answers_are_read_in_both_forms() -> None:
    assert parsed({"messages": HELLO}).logprobs is None
    assert parsed({"messages": HELLO, "logprobs": True}).logprobs == 0
    assert parsed({"messages": HELLO, "logprobs": True, "top_logprobs": 5, "n": 3}).logprobs == 5
    assert parsed({"prompt": "x", "logprobs": 2}, chat=False).logprobs == 2
    assert parsed({"prompt": "x", "n": 3}, chat=False).answers == 3


def test_prompts_are_text_or_token_ids() -> None:
    assert parsed({"prompt": "once"}, chat=False).prompt == "once"
    assert parsed({"prompt": ["once"]}, chat=False).prompt == "once"
    assert parsed({"prompt": [1, 2]}, chat=False).prompt == (1, 2)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "user", "content": [{"type": "image_url"}]}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"min_p": float("nan")}, "min_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"seed": 2**70}, "seed"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 1000}}, "logit_bias"),
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"n": 2, "best_of": 3}, "best_of"),
        ({"logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stream": "yes"}, "stream"),
        ({"model": 5}, "model"),
    ],
)
def test_a_refusal_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parsed({"messages": HELLO, **change})
    assert (caught.value.status, caught.value.param) == (400, field)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.body["error"]["param"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_request(body, chat=True)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("prompt", [None, 5, [], ["a", "b"], [1, "a"], [-1], [True]])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(RefusedError):
        parsed({"prompt": prompt}, chat=False)


def test_a_model_without_a_template_gets_plain_labels() -> None:
    turns = [("system", "Be brief."), ("user", " hi "), ("assistant", "hello"), ("user", "again")]
    text = plain_text_of([{"role": role, "content": content} for role, content in turns])
    assert text == "Be brief.\nUser: hi\nAssistant: hello\nUser: again\nAssistant:"
    turns[-1] = ("assistant", "it goes")
    text = plain_text_of([{"role": role, "content": content} for role, content in turns], go_on=True)
    assert text.endswith("Assistant: it goes")


def test_only_an_answer_can_be_continued() -> None:
    asked = {"messages": [{"role": "user", "content": "hi"}], "continue_final_message": True}
    with pytest.raises(RefusedError, match="continue_final_message"):
        parsed(asked)
