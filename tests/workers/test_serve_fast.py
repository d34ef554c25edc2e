"""The hand-written pass against ``model.generate``, the caches of several chats, and the choice of the fastest way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.workers.test_serve_decoding import GREEDY, generated, looped, prompt_of
from tests.workers.tiny_models import tiny_model
from tui.fit.cpu_weights import BY_HAND
from tui.jobs.job import Kind
from tui.starter import starter_folder
from tui.workers.host import cpu_path as paths
from tui.workers.host.cache_shelf import CacheShelf
from tui.workers.host.cpu_path import CpuPath, CpuPaths, best_of
from tui.workers.host.cuda_steps import CudaSteps, static_step
from tui.workers.host.decoding import Decoder
from tui.workers.host.engine import BrokenOff
from tui.workers.host.linears import packs
from tui.workers.host.llama_like import LlamaLike
from tui.workers.host.loading import load
from tui.workers.host.lossy_int8 import SAMPLE, take_apart_int8
from tui.workers.host.making_fast import MEASURED_FILE
from tui.workers.host.pace import Pace
from tui.workers.host.sampling import Sampler
from tui.workers.host.taking_apart import FAMILIES as TAKEN_APART
from tui.workers.host.taking_apart import can_take_apart, take_apart
from tui.workers.reporter import Reporter

YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 64}
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 4, "tie_word_embeddings": True}),
    ("llama", {"rope_parameters": YARN}),
    ("mistral", {"sliding_window": None}),
    ("qwen2", {}),
    ("qwen3", {}),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Threads that wait for each other crawl on a busy machine; these models are small."""
    import torch

    torch.set_num_threads(1)


def taken(model: Any, kind: str = "float32") -> Any:
    assert can_take_apart(model, 256)
    return take_apart(deepcopy(model), kind, lambda: False, lambda *_: None)


@pytest.mark.parametrize(("family", "more"), FAMILIES)
def test_the_hand_written_pass_writes_the_tokens_of_generate(family: str, more: dict[str, Any]) -> None:
    model = tiny_model(family, **more)
    with_halves = model.half().float()
    kinds = ["float32", *(["float16"] if packs() else [])]
    for kind in kinds:
        decoder = Decoder(taken(with_halves, kind), 256)
        decoder.chunk = 16
        first = prompt_of(50, 2)
        expected = generated(with_halves, first, 30)
        assert looped(decoder, first, 30)[0] == expected
        assert len(set(expected)) > 3, "a model that repeats itself proves nothing"
        for second in (first + expected + prompt_of(9, 4), first[:40] + prompt_of(7, 5), prompt_of(1, 0)):
            assert looped(decoder, second, 12)[0] == generated(with_halves, second, 12)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_step_of_fixed_sizes_gives_the_logits_of_a_plain_one(family: str) -> None:
    import torch

    model = taken(tiny_model(family))
    cache, prompt = model.new_cache(), prompt_of(20, 1)
    with torch.inference_mode():
        model.read(prompt[:-1], cache, lambda: None)
        for side in (side for room in cache.rooms for side in room):
            side[:, :, 19:] = 1e4  # what lies behind must not be seen
        token, place = torch.tensor(prompt[-1:]), torch.tensor([19])
        turns = model.turns_of(0, cache.rooms[0][0].shape[2])
        found = static_step(model, cache.rooms, token, place, turns)
        expected = model.read(prompt[-1:], cache, lambda: None)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.gpu
def test_recorded_steps_write_the_tokens_of_plain_ones() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA GPU here")
    model = take_apart(tiny_model("llama").cuda(), "own", lambda: False, lambda *_: None)
    prompt = prompt_of(40, 1)
    expected = looped(Decoder(model, 256), prompt, 30)[0]
    model.recorded = CudaSteps(model)
    assert looped(Decoder(model, 256), prompt, 30)[0] == expected
    assert model.recorded.why_not == ""


def test_models_of_other_mathematics_are_left_alone() -> None:
    for family in ("gpt2", "gemma2", "opt"):
        assert not can_take_apart(tiny_model(family), 256)
    window = tiny_model("mistral")
    assert not can_take_apart(window, 256), "its window is shorter than the context"
    assert can_take_apart(window, 24)
    changed = tiny_model("llama")
    changed.model.layers[0].register_forward_hook(lambda *call: call[-1] * 1.01)
    assert not can_take_apart(changed, 256), "the first layer is run both ways"


def test_taking_apart_frees_the_weights_layer_by_layer_and_can_be_halted() -> None:
    model = tiny_model("llama")
    done: list[tuple[int, int]] = []
    take_apart(model, "float32", lambda: len(done) >= 1, lambda *both: done.append(both))
    assert model.model.layers[0].mlp.up_proj.weight.numel() == 0
    assert model.model.layers[1].mlp.up_proj.weight.numel() > 0
    assert 0 < done[0][0] < done[0][1]


def test_breaking_off_inside_the_pass_leaves_a_cache_that_is_true() -> None:
    model = tiny_model("llama")
    decoder = Decoder(taken(model), 256)
    first = prompt_of(40, 1)
    answer, _ = looped(decoder, first, 5)
    longer = first + answer + prompt_of(30, 2)
    looks = 0

    def unwanted() -> bool:
        nonlocal looks
        looks += 1
        return looks == 3  # before the second layer

    with pytest.raises(BrokenOff):
        list(decoder.tokens(longer, Sampler(GREEDY, longer), unwanted, lambda _: None))
    assert looks == 3
    tokens, cached = looped(decoder, longer, 10)
    assert cached == 44
    assert tokens == generated(model, longer, 10)


@pytest.mark.parametrize("apart", [False, True])
def test_several_chats_keep_their_caches_and_a_fork_spoils_none(apart: bool) -> None:
    model = tiny_model("llama")
    decoder = Decoder(taken(model) if apart else model, 256)
    system = prompt_of(60, 1)
    chats = [system + prompt_of(100, seed) for seed in (2, 3)]
    answers = [looped(decoder, chat, 10) for chat in chats]
    assert [cached for _, cached in answers] == [0, 60], "what both begin with was copied"
    assert [answer for answer, _ in answers] == [generated(model, chat, 10) for chat in chats]
    for chat, (answer, _) in zip(chats, answers, strict=True):
        tokens, cached = looped(decoder, chat + answer + [7], 5)
        assert cached == len(chat) + 9
        assert tokens == generated(model, chat + answer + [7], 5)
    assert decoder.shelf.conversations == 2


def test_the_chat_that_waited_longest_makes_room() -> None:
    decoder = Decoder(taken(tiny_model("llama")), 256)
    first, second, third = (prompt_of(100, seed) for seed in (1, 2, 3))
    looped(decoder, first, 3)
    decoder.shelf.budget = int(2.5 * decoder.shelf.bytes())
    looped(decoder, second, 3)
    looped(decoder, [*first, 9], 3)
    looped(decoder, third, 3)
    assert decoder.shelf.bytes() <= decoder.shelf.budget
    assert decoder.shelf.dropped == 1
    assert [looped(decoder, [*prompt, 9], 2)[1] for prompt in (first, third)] == [100, 100]
    assert looped(decoder, [*second, 9], 2)[1] == 0


def paced(pace: Pace, seconds: dict[int, float], tokens: int) -> float:
    """Write ``tokens`` tokens, each in the seconds of its number of threads; returns the seconds for all."""
    total = 0.0
    for _ in range(tokens):
        total += seconds[pace.threads]
        pace.took(seconds[pace.threads])
    return total


def test_threads_follow_what_the_machine_does() -> None:
    pace = Pace(8)
    quiet, busy = {1: 8.0, 2: 4.5, 4: 2.5, 8: 1.5}, {1: 8.0, 2: 5.0, 4: 20.0, 8: 60.0}
    assert paced(pace, quiet, 2000) < 1.03 * 1.5 * 2000, "trying costs next to nothing"
    assert pace.threads == 8
    paced(pace, busy, 1500)
    assert pace.threads == 2
    paced(pace, quiet, 4000)
    assert pace.threads == 8
    alone = Pace(1)
    paced(alone, {1: 1.0}, 100)
    assert alone.threads == 1


class Remembered:
    """A cache that only knows its tokens."""

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self.ids = list(ids)

    def cut(self, keep: int) -> bool:
        del self.ids[keep:]
        return True

    def copy(self, count: int) -> Remembered:
        return Remembered(self.ids[:count])

    def bytes(self) -> int:
        return len(self.ids)

    def clear(self) -> None:
        self.ids = []

    def restore(self) -> None:
        pass


def test_an_edited_question_goes_on_in_place() -> None:
    shelf = CacheShelf(Remembered)
    cache, shared = shelf.take(range(100))
    cache.ids += range(100)
    assert shared == 0
    again, shared = shelf.take([*range(80), 7, 8])
    assert again is cache and shared == 80 and shelf.conversations == 1
    other, shared = shelf.take([*range(35), 7])
    assert other is not cache and shared == 35 and len(cache.ids) == 80, "less than half is shared: a copy"
    assert shelf.take([1, 2])[1] == 0
    other.ids += [7, *range(500)]
    assert shelf.take([*range(35), 7]) == (other, 35), "another answer to the same question"


def starter() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32).eval()


def test_8_bit_layers_come_with_their_loss() -> None:
    if not packs():
        pytest.skip("this torch has no FBGEMM")
    import torch
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(starter_folder(), local_files_only=True)(SAMPLE)["input_ids"]
    exact, model = starter(), starter()
    lossy, loss = take_apart_int8(model, ids, lambda: False, lambda *_: None)
    assert model.model.layers[0].mlp.up_proj.weight.numel() == 0
    with torch.inference_mode():
        right = exact(torch.tensor([ids])).logits[0].log_softmax(-1)
        found = lossy.ending(lossy.through(lossy.embedded(torch.tensor(ids)), lossy.new_cache(), lambda: None))
    assert loss.tokens == len(ids)
    assert loss.same == int((right.argmax(-1) == found.argmax(-1)).sum())
    assert 0 < loss.divergence < 1 and 0.5 * loss.tokens < loss.same <= loss.tokens
    assert f"{loss.divergence:.3f} nats" in loss.note


def test_loading_goes_the_way_that_the_settings_say(reporter: Callable[..., Reporter]) -> None:
    if not packs():
        pytest.skip("this torch has no FBGEMM")
    job = reporter(Kind.SERVE, {})
    exact = load(job, starter_folder(), None)
    assert isinstance(exact.model, LlamaLike)
    assert any(note.startswith("linear layers in ") for note in exact.notes)
    if exact.later is not None:  # the compiled products are taken at once, and measured while nobody asks
        with pytest.raises(BrokenOff):
            exact.later(lambda: True)
        assert not (job.paths.state / MEASURED_FILE).exists()
        exact.later(lambda: False)
    assert (job.paths.state / MEASURED_FILE).exists()
    again = load(job, starter_folder(), None)
    assert again.later is None and any("measured earlier" in note for note in again.notes)
    job.paths.settings_file.write_text("[chat]\nlossy_int8 = true\n")
    lossy = load(job, starter_folder(), None)
    assert any(note.startswith("lossy 8-bit linear layers, as asked") for note in lossy.notes)


def chosen(config: Any, file: Path, *, bfloat16: bool) -> CpuPath:
    return CpuPaths(config, file, bfloat16=bfloat16).choose()


def test_the_fastest_way_is_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not packs():
        pytest.skip("this torch has no FBGEMM")
    monkeypatch.setattr(paths, "OUT_OF_CACHE", 1)
    monkeypatch.setattr(paths, "loaded", lambda: None)
    config, file = tiny_model("llama").config, tmp_path / "measured.json"
    first = chosen(config, file, bfloat16=False)
    assert set(first.seconds) == {"float32", "float16"} and not first.remembered
    assert all(seconds > 0 for seconds in first.seconds.values())
    monkeypatch.setattr(paths, "per_token", lambda *_: pytest.fail("measured again"))
    second = chosen(config, file, bfloat16=False)
    assert (second.kind, second.seconds, second.remembered) == (first.kind, first.seconds, True)
    monkeypatch.setattr(paths, "per_token", lambda kind, *_: {"bfloat16": 1.0}.get(kind, 9.0))
    assert chosen(config, file, bfloat16=True).kind == "bfloat16", "another question is another measurement"
    file.write_text("[broken")
    assert not chosen(config, file, bfloat16=False).remembered


def test_a_first_measurement_that_would_double_the_memory_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packs():
        pytest.skip("this torch has no FBGEMM")
    monkeypatch.setattr(paths, "loaded", lambda: None)
    taken = iter([1.0, 9.0, 1.0, 1.1])  # float32 and float16 twice: somebody else was at work when float16 was measured
    monkeypatch.setattr(paths, "per_token", lambda *_: next(taken))
    found = chosen(tiny_model("llama").config, tmp_path / "measured.json", bfloat16=False)
    assert (found.kind, found.seconds) == ("float16", {"float32": 1.0, "float16": 1.1})


def test_the_estimate_knows_which_families_the_pass_runs() -> None:
    assert {type(tiny_model(family)).__name__ for family in TAKEN_APART} == set(BY_HAND)


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({"float32": 1.0, "float16": 1.0, "bfloat16": 0.8}, "float16"),
        ({"float32": 1.0, "float16": 1.0, "bfloat16": 0.6}, "bfloat16"),
        ({"float32": 1.0, "float16": 1.9}, "float16"),
        ({"float32": 1.0, "float16": 2.1}, "float32"),
        ({"float32": 1.0, "bfloat16": 0.8}, "float32"),
        ({"float32": 1.0}, "float32"),
        ({"float32": 1.0, "float16": 0.9, "compiled": 1.0}, "float16"),
        ({"float32": 1.0, "float16": 1.1, "compiled": 1.0}, "compiled"),
    ],
)
def test_more_memory_and_less_precision_must_be_worth_it(seconds: dict[str, float], best: str) -> None:
    assert best_of(seconds) == best


def test_columns_that_fill_no_blocks_are_not_packed_where_there_is_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "packs", lambda: True)
    monkeypatch.setattr(paths, "per_token", lambda kind, *_: {"float16": 1.0}.get(kind, 3.0))
    config = tiny_model("llama").config
    config.hidden_size = 576
    found = []
    for library in (object(), None):
        monkeypatch.setattr(paths, "loaded", lambda library=library: library)
        found.append(chosen(config, tmp_path / "measured.json", bfloat16=False).kind)
    config.hidden_size = 1024
    monkeypatch.setattr(paths, "loaded", object)
    found.append(chosen(config, tmp_path / "measured.json", bfloat16=False).kind)
    CpuPaths(config, tmp_path / "measured.json", bfloat16=False).measure(lambda: False)
    found.append(chosen(config, tmp_path / "measured.json", bfloat16=False).kind)
    assert found == ["compiled", "float16", "compiled", "float16"]
