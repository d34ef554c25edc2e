"""The desk with a real tiny model: faults while answering, thinking, and what a host survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workers.tiny_models import tiny_model
from tui.starter import starter_folder
from tui.workers.host.desk import Desk, Ending, Ticket
from tui.workers.host.loading import LoadedModel, context_limit
from tui.workers.host.request import RefusedError, Request, Sampling
from tui.workers.host.text_stream import Piece
from tui.workers.host.torch_engine import TorchEngine

HELLO = ({"role": "user", "content": "hello"},)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(starter_folder(), local_files_only=True)


@pytest.fixture
def desk(tokenizer: Any) -> Desk:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32).eval()
    return desk_of(model, tokenizer)


def desk_of(model: Any, tokenizer: Any, context: int = 128) -> Desk:
    return Desk(TorchEngine(LoadedModel(model, tokenizer, model.generation_config, "cpu", "float32", context, 10)))


def request_of(**more: Any) -> Request:
    values: dict[str, Any] = {
        "model": "",
        "messages": HELLO,
        "prompt": None,
        "sampling": Sampling(temperature=0.0),
        "max_tokens": 5,
        "stop": (),
        "stream": True,
        "include_usage": True,
        "template_arguments": {},
    }
    return Request(**{**values, **more})


def outcome(ticket: Ticket) -> tuple[str, Ending | RefusedError]:
    text = ""
    while True:
        item = ticket.pieces.get(timeout=30)
        if isinstance(item, Ending | RefusedError):
            return text, item
        text += item.text


def answered(desk: Desk, request: Request) -> tuple[str, Ending | RefusedError]:
    """Answer one request on this thread, as the host's main thread does."""
    ticket = desk.submit(request)
    assert desk._next(0) is ticket
    desk._answer(ticket, threading.Event())
    return outcome(ticket)


def failing(model: Any, error: Exception, after: int) -> Callable[[], None]:
    """Make the model's last block raise from its ``after``-th call on; returns how to repair it."""
    calls = 0

    def hook(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error

    handle = model.model.layers[-1].register_forward_pre_hook(hook)
    return handle.remove


def test_out_of_memory_is_the_answer_to_one_request_and_the_host_goes_on(desk: Desk) -> None:
    import torch

    expected, _ = answered(desk, request_of())
    repair = failing(
        desk.engine.loaded.model, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), after=2
    )
    ticket = desk.submit(request_of(messages=({"role": "user", "content": "other"},)))
    desk._next(0)
    desk._answer(ticket, threading.Event())
    text, ending = outcome(ticket)
    assert isinstance(ending, RefusedError)
    assert (ending.status, ending.code) == (507, "out_of_memory")
    assert "2 GiB" in ending.message and "of caches for" in ending.message and "shorter context" in ending.message
    assert text, "what came before the fault was sent"
    assert desk.engine.cached_tokens == 0 and desk.engine.memory()["kv_cache"] == 0, "the cache was given back"
    repair()
    assert answered(desk, request_of())[0] == expected


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), 507),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes"), 507),
        (ValueError("shapes do not fit"), 500),
    ],
)
def test_other_faults_are_typed_too(desk: Desk, error: Exception, status: int) -> None:
    failing(desk.engine.loaded.model, error, after=0)
    _, ending = answered(desk, request_of())
    assert isinstance(ending, RefusedError) and ending.status == status


def test_a_lost_device_ends_the_host_after_the_client_was_told(desk: Desk) -> None:
    failing(desk.engine.loaded.model, RuntimeError("CUDA error: an illegal memory access was encountered"), after=0)
    ticket, waiting = desk.submit(request_of()), desk.submit(request_of())
    with pytest.raises(RuntimeError, match="illegal memory"):
        desk.work(threading.Event())
    for each in (ticket, waiting):
        assert isinstance(outcome(each)[1], RefusedError)
    with pytest.raises(RefusedError):
        desk.submit(request_of())


def test_stop_answers_those_who_wait(desk: Desk) -> None:
    stop = threading.Event()
    ticket = desk.submit(request_of())
    stop.set()
    assert desk.work(stop) == "stop"
    ending = outcome(ticket)[1]
    assert isinstance(ending, RefusedError) and ending.status == 503


def test_an_end_token_is_never_shown_and_stops(desk: Desk) -> None:
    ends = next(iter(desk.engine.end_tokens))
    sampling = Sampling(temperature=0.0, logit_bias={ends: 100.0})
    text, ending = answered(desk, request_of(sampling=sampling))
    assert text == ""
    assert isinstance(ending, Ending)
    assert (ending.finish_reason, ending.completion_tokens) == ("stop", 1)


def test_a_full_context_ends_with_length(desk: Desk) -> None:
    ends = dict.fromkeys(desk.engine.end_tokens, -100.0)
    sampling = Sampling(temperature=0.0, logit_bias=ends)
    _, ending = answered(desk, request_of(sampling=sampling, max_tokens=None))
    assert isinstance(ending, Ending)
    assert ending.finish_reason == "length"
    assert ending.prompt_tokens + ending.completion_tokens == 128


def test_a_template_that_opens_the_thinking_has_it_kept_apart(desk: Desk, tokenizer: Any) -> None:
    from copy import copy

    thinking = copy(tokenizer)
    thinking.chat_template = tokenizer.chat_template + "{{ '<think>\n' }}"
    model = desk.engine.loaded.model
    ticket = (other := desk_of(model, thinking)).submit(request_of())
    other._next(0)
    other._answer(ticket, threading.Event())
    pieces = []
    while not isinstance(item := ticket.pieces.get(timeout=30), Ending):
        pieces.append(item)
    assert pieces and all(piece.thinking and not piece.text for piece in pieces)


def test_a_template_that_raises_is_a_refusal_with_its_words(desk: Desk, tokenizer: Any) -> None:
    from copy import copy

    strict = copy(tokenizer)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(RefusedError, match="roles must alternate") as caught:
        desk_of(desk.engine.loaded.model, strict).submit(request_of())
    assert caught.value.status == 400
    strict.chat_template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(RefusedError):
        desk_of(desk.engine.loaded.model, strict).submit(request_of())


def test_token_ids_beyond_the_vocabulary_are_refused(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="vocabulary"):
        desk.submit(request_of(messages=None, prompt=(1, 10**6)))


def test_the_context_is_read_from_any_familys_name_for_it(tokenizer: Any) -> None:
    assert context_limit(tiny_model("gpt2").config, tokenizer) == 256
    assert context_limit(tiny_model("llama").config, tokenizer) == 256


def pieces_of(desk: Desk, request: Request) -> tuple[list[Piece], Ending]:
    ticket = desk.submit(request)
    desk._next(0)
    desk._answer(ticket, threading.Event())
    found: list[Piece] = []
    while isinstance(item := ticket.pieces.get(timeout=30), Piece):
        found.append(item)
    assert isinstance(item, Ending)
    return found, item


def test_chances_are_those_of_the_model(desk: Desk) -> None:
    import torch

    pieces, ending = pieces_of(desk, request_of(logprobs=3, max_tokens=6))
    chances = [chance for piece in pieces for chance in piece.chances]
    assert len(chances) == ending.completion_tokens == 6
    assert "".join(chance.text for chance in chances).strip() == "".join(piece.text for piece in pieces).strip()
    batch = torch.tensor([desk.engine.ids(request_of())])
    expected = desk.engine.loaded.model(batch).logits[0, -1].log_softmax(-1)
    assert chances[0].logprob == pytest.approx(float(expected.max()), abs=1e-4)
    assert [value for _, value in chances[0].others] == pytest.approx(expected.topk(3).values.tolist(), abs=1e-4)
    biased = request_of(logprobs=0, max_tokens=1, sampling=Sampling(temperature=2.0, seed=1, logit_bias={9: 100.0}))
    (chance,) = (chance for piece in pieces_of(desk, biased)[0] for chance in piece.chances)
    assert chance.logprob == pytest.approx(float(expected[9]), abs=1e-4), "before bias and temperature"
    assert chance.others == ()


def test_several_answers_differ_by_their_seeds_and_are_kept_apart(desk: Desk) -> None:
    def texts(seed: int, answers: int) -> list[str]:
        sampling = Sampling(temperature=1.5, seed=seed)
        pieces, ending = pieces_of(desk, request_of(sampling=sampling, answers=answers))
        assert len(ending.reasons) == answers
        return ["".join(piece.text for piece in pieces if piece.index == index) for index in range(answers)]

    three = texts(5, 3)
    assert three == [texts(5, 1)[0], texts(6, 1)[0], texts(7, 1)[0]]
    assert len(set(three)) == 3


def test_an_engine_that_tells_no_chances_refuses_to(desk: Desk) -> None:
    desk.engine.tells_chances = False
    with pytest.raises(RefusedError) as caught:
        desk.submit(request_of(logprobs=1))
    assert (caught.value.status, caught.value.param) == (400, "logprobs")


HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__init__.__globals__ }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch pwned') }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ messages.append('x') }}",
    "{% include '/etc/passwd' %}",
    "{{ range(10**9) | list }}",
    "{{ 'a' * 10**9 if false else undefined_name.attribute }}",
    "{{ 'a' * 10**9 }}",
    "{{ messages * 10**9 }}",
    "{{ 10**6 * 'a' * 100 }}",
    "{{ 9**9**9**9 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{% if %}",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_a_hostile_template_runs_no_code(
    desk: Desk, tokenizer: Any, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from copy import copy

    monkeypatch.chdir(tmp_path)
    hostile = copy(tokenizer)
    hostile.chat_template = template
    with pytest.raises(RefusedError) as caught:
        desk_of(desk.engine.loaded.model, hostile).submit(request_of())
    assert (caught.value.status, caught.value.code) in ((400, "template_error"), (400, None))
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_leaves_no_trace_and_gives_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[int]] = []
    model = desk.engine.decoder.model  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "read", lambda ids, *rest, own=model.read: read.append(ids) or own(ids, *rest))
    desk.rehearse()
    assert len(read) == 2 and desk.engine.cached_tokens == 0
    assert (desk.tokens_served, desk.requests) == (0, 0)
    desk.submit(request_of())
    desk.rehearse()
    assert len(read) == 2, "somebody waits"
    monkeypatch.setattr(desk.engine, "ids", lambda _: int("a template that refuses"))
    desk.rehearse()
