"""8-bit linear layers on a CPU, for who asks for them, with what they lose measured while they are made.

FBGEMM rounds the weights to 8 bits once and the activations to 7 bits at every call, with one scale for all tokens that
are read together. That is the fastest way there is here, and it changes answers. So a short text goes through both
ways, layer by layer as they are laid out, and the host says how often the likeliest token stayed the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tui.workers.host.linears import linear_of
from tui.workers.host.llama_like import LlamaLike
from tui.workers.host.taking_apart import bytes_of, frame, layer_of, let_go

SAMPLE = (
    "A language model reads a text and says for each word how likely it is to come next. Its weights are numbers that"
    " were learned once; with fewer bits for each of them the model takes less memory and answers sooner, and is a"
    " little less sure of what it says."
)


@dataclass(frozen=True, slots=True)
class Loss:
    """``divergence``: mean Kullback-Leibler divergence in nats from the exact chances; ``same``: how many of ``tokens``
    places kept their likeliest token."""

    divergence: float
    same: int
    tokens: int

    @property
    def note(self) -> str:
        """The loss in words."""
        share = 100 * self.same / max(1, self.tokens)
        return (
            f"lossy 8-bit linear layers, as asked: on a short text {share:.0f} % of {self.tokens} places keep their"
            f" likeliest token, divergence {self.divergence:.3f} nats"
        )


def take_apart_int8(
    model: Any, ids: Sequence[int], halted: Callable[[], bool], report: Callable[[int, int], None]
) -> tuple[LlamaLike, Loss]:
    """The model in parts with 8-bit layers, and what that loses on the tokens ``ids``; the output layer stays exact."""
    import torch

    inner = model.model
    taken, exact, lossy = (frame(model, "float32") for _ in range(3))
    taken.embedding = inner.embed_tokens.weight.detach()
    taken.final_norm = inner.norm.weight.detach().to(taken.dtype)
    taken.head = linear_of([model.lm_head], "float16")
    taken.config, taken.generation_config = model.config, getattr(model, "generation_config", None)
    total, done = bytes_of(inner.layers), 0
    with torch.inference_mode():
        right = taken.embedded(torch.tensor(list(ids)))
        rounded = right.clone()
        for block in inner.layers:
            if halted():
                break
            size = bytes_of(block)
            exact.layers = [layer_of(block, "float16", taken.dtype)]
            lossy.layers = [layer_of(block, "int8", taken.dtype)]
            exact.through(right, exact.new_cache(), lambda: None)
            lossy.through(rounded, lossy.new_cache(), lambda: None)
            taken.layers += lossy.layers
            let_go(block)
            done += size
            report(done, total)
        return taken, _loss(taken.ending(right), taken.ending(rounded))


def _loss(exact: Any, lossy: Any) -> Loss:
    import torch

    true, found = exact.float().log_softmax(-1), lossy.float().log_softmax(-1)
    divergence = torch.nn.functional.kl_div(found, true, reduction="batchmean", log_target=True)
    same = int((true.argmax(-1) == found.argmax(-1)).sum())
    return Loss(max(0.0, float(divergence)), same, len(true))
