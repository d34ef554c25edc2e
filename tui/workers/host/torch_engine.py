"""The engine that is our own loop over a transformers model."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Generator, Sequence

from tui.workers.host.decoding import Decoder
from tui.workers.host.engine import Written
from tui.workers.host.loading import LoadedModel
from tui.workers.host.prompt import PromptMaker
from tui.workers.host.request import Request
from tui.workers.host.sampling import Sampler, choice_for
from tui.workers.host.text_stream import Chance, CharacterStream


class TorchEngine:
    """A transformers model, its tokenizer and the loop that decodes it."""

    name = "transformers"
    tells_chances = True

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.prompts = PromptMaker(loaded.tokenizer)
        self.decoder = Decoder(loaded.model, loaded.context, loaded.weight_bytes, cache_budget(loaded))
        self.end_tokens = end_tokens(loaded)
        self.device, self.dtype, self.context = loaded.device, loaded.dtype, loaded.context
        self.notes, self.seconds = loaded.notes, loaded.seconds
        self.has_template, self.may_think = self.prompts.has_template, self.prompts.may_think
        if not self.has_template:
            self.notes.append("no chat template, so a base model: a chat is written to it as plain text with labels")

    @property
    def cached_tokens(self) -> int:
        """How many tokens the caches of all conversations hold now."""
        return self.decoder.shelf.tokens

    def ids(self, request: Request) -> list[int]:
        """The prompt's token ids."""
        return self.prompts.ids(request)

    def stops(self, request: Request) -> tuple[str, ...]:
        """The texts that end this answer."""
        return self.prompts.stops(request)

    def begins_thinking(self, ids: Sequence[int]) -> bool:
        """Whether the template has opened the thinking itself."""
        return self.prompts.begins_thinking(ids)

    def write(
        self, request: Request, ids: Sequence[int], unwanted: Callable[[], bool], read: Callable[[int], None]
    ) -> Generator[Written, None, None]:
        """Decode until the model ends its turn, or the limit or the context is reached."""
        text = CharacterStream(self.prompts.decode, ids)
        choice = choice_for(request.sampling, self.loaded.generation)
        sampler = Sampler(choice, ids, request.logprobs)
        limit = request.max_tokens or self.context
        reason = "length"
        for written, token in enumerate(self.decoder.tokens(ids, sampler, unwanted, read), 1):
            if token in self.end_tokens:
                yield Written()
                reason = "stop"
                break
            yield Written(text.feed(token), chances=self._chances(token, sampler.likeliest))
            if written >= limit:
                break
        yield Written(text.end(), 0, reason)

    def _chances(self, token: int, likeliest: tuple[tuple[int, float], ...]) -> tuple[Chance, ...]:
        """The token's own chance stands first in ``likeliest``."""
        if not likeliest:
            return ()
        decode = self.prompts.decode
        others = tuple((decode([other]), chance) for other, chance in likeliest[1:])
        return (Chance(decode([token]), likeliest[0][1], others),)

    def warm_up(self) -> None:
        """Quantized layers lay out their weights in their first pass, and a GPU records its first step."""
        self.decoder.warm_up(min(self.end_tokens, default=0))
        recorded = getattr(self.decoder.model, "recorded", None)
        if recorded is not None:
            self.notes.append(recorded.note)

    def tune(self, unwanted: Callable[[], bool]) -> None:
        """Measure the ways of multiplying, where that is not done yet."""
        if self.loaded.later is not None:
            self.loaded.later(unwanted)

    def recover(self) -> None:
        """Drop the caches and what the allocator keeps."""
        self.decoder.shelf.clear()
        gc.collect()
        with contextlib.suppress(Exception):
            import torch

            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def memory(self) -> dict[str, int]:
        """Bytes of the caches and what bounds them, and on a GPU what the allocator holds."""
        shelf = self.decoder.shelf
        found = {"kv_cache": shelf.bytes(), "kv_cache_limit": shelf.budget or 0}
        if self.device.startswith("cuda"):
            import torch

            found |= {"gpu": torch.cuda.memory_allocated(), "gpu_reserved": torch.cuda.memory_reserved()}
        return found

    def close(self) -> None:
        """The process ends with its model."""


def cache_budget(loaded: LoadedModel) -> int | None:
    """Bytes for the caches of all conversations: what one takes that fills the whole context, because so much the
    memory estimate has set aside. None where the configuration does not tell."""
    text = loaded.model.config.get_text_config(decoder=True)
    layers, heads = getattr(text, "num_hidden_layers", 0), getattr(text, "num_attention_heads", 0)
    if not layers or not heads:
        return None
    key_heads = getattr(text, "num_key_value_heads", None) or heads
    size = getattr(text, "head_dim", None) or text.hidden_size // heads
    return int(2 * layers * key_heads * size * loaded.model.dtype.itemsize * loaded.context)


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """Every token that ends an answer: of the generation defaults, else of configuration and tokenizer."""
    config = loaded.model.config.get_text_config(decoder=True)
    for source in (loaded.generation, config, loaded.tokenizer):
        found = getattr(source, "eos_token_id", None)
        if found is not None:
            return frozenset(found if isinstance(found, list | tuple) else [found])
    return frozenset()
