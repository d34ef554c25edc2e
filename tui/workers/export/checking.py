"""Reads the finished file back before it gets its name: every block against the checkpoint, and tokens against tokens.

The weights are compared in float32, unpacked by two different ways: the ``gguf`` package from blocks, our own reader
from GPTQ's words. The tokens are those of llama.cpp, from the file, and those of the model's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tui.catalog.gguf_plan import GgufPlan
from tui.errors import BuildBrokenError, RecipeError
from tui.workers.export.checkpoint import Checkpoint
from tui.workers.export.vocabulary import CONTROL, NORMAL, USER_DEFINED, Vocabulary
from tui.workers.export.writing import Tensor

HARD_TEXTS = (
    "Hello world",
    " leading space, two  spaces,   three\ttab\t\ttabs",
    "line\n\nblank\n\n\nlines\r\nwindows  \n  indented\n\tby tab",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 0x1F",
    "I'm you're they've he'll she'd it's DON'T CAN'T WE'LL",
    "naïve café Zürich Straße ŁÓDŹ Ωmega Ελληνικά Привет мир",
    "日本語のテキスト 한국어 텍스트 中文字符，标点。العربية עברית हिन्दी ไทย",
    "🚀 👩‍👩‍👧‍👦 🇩🇪 e\u0301 \u200b zero width \ufeff",
    "def f(x):\n    return x**2  # comment\n\nprint(f(3) == 9, [1, 2], {'a': \"b\"})",
    "https://example.org/a?b=c&d=%20 user@example.org C:\\path\\file.txt",
    "!!! ... --- *** ((())) <<>> {}[] ~~~ ``` $$$ ### @@@ %%",
    "MixedCASE camelCase snake_case kebab-case ALLCAPS x1y2z3",
    "½ ² ³ Ⅷ ١٢٣ १२३ 三",
    "",
    " ",
    "\n",
    "     ",
)
"""Texts on which wrong rules for cutting show: digits, contractions, spaces, line ends, scripts, combining marks."""


@dataclass(slots=True)
class Report:
    """What reading back found. ``difference`` is the largest of any weight in the quantized layers, ``others`` that of
    the remaining tensors (16-bit types round); ``tokens`` counts what was compared, 0 where llama.cpp cannot run."""

    difference: float = 0.0
    others: float = 0.0
    tensors: int = 0
    packed: int = 0
    tokens: int = 0
    notes: list[str] = field(default_factory=list)


def check_weights(
    file: Path,
    plan: GgufPlan,
    checkpoint: Checkpoint,
    written: Sequence[Tensor],
    step: Callable[[str, int], None],
) -> Report:
    """Compare every tensor of ``file`` with the checkpoint. Raises ``BuildBrokenError`` for anything that is not what
    was meant: a missing tensor, another shape, or a quantized weight that differs where the export is exact."""
    import gguf

    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    if stored.keys() != {tensor.name for tensor in written}:
        raise BuildBrokenError("the file does not hold the tensors that were written", "retry the job")
    report = Report(tensors=len(stored))
    for tensor in written:
        found = gguf.quants.dequantize(stored[tensor.name].data, stored[tensor.name].tensor_type)
        wanted = tensor.made if tensor.place is None else tensor.place.floats(checkpoint)
        if wanted is None or found.shape != wanted.shape or not np.isfinite(found).all():
            raise BuildBrokenError(f"{tensor.name} reads back as something else", "retry the job")
        difference = float(np.abs(found - wanted).max(initial=0.0))
        if tensor.is_packed(checkpoint):
            report.packed += 1
            report.difference = max(report.difference, difference)
        else:
            report.others = max(report.others, difference)
        if tensor.is_packed(checkpoint) and plan.exact and difference:
            raise BuildBrokenError(f"{tensor.name} differs by {difference:.3g} from the build", "report this")
        step(tensor.name, sum(checkpoint.bytes(source) for source in tensor.place.sources) if tensor.place else 0)
    return report


def check_tokens(tokenize: Callable[[str, bool], list[int]], source: Path, vocabulary: Vocabulary) -> tuple[int, str]:
    """Hold llama.cpp's tokens against the model's own tokenizer on hard texts and on texts of its own vocabulary.

    ``tokenize`` takes a text and whether special tokens are read in it. Returns how many tokens were compared, and a
    note where the two differ around special tokens only. Raises ``RecipeError`` where a plain text reads differently.
    """
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(source / "tokenizer.json"))
    compared = 0
    for text in (*HARD_TEXTS, *_own_texts(own, vocabulary)):
        plain = text
        if vocabulary.normalizes and own.normalizer is not None:
            plain = own.normalizer.normalize_str(text)  # the host does the same before it asks llama.cpp
        wanted, found = own.encode(plain, add_special_tokens=False).ids, tokenize(plain, False)
        if wanted != found:
            raise RecipeError(
                f"llama.cpp reads {text[:40]!r} as {found[:12]}, the model's own tokenizer as {wanted[:12]}",
                "its vocabulary cannot be exported; chat with it through transformers",
            )
        compared += len(wanted)
    marks = [token for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind == CONTROL]
    turn = "".join(f"{mark}Hello, how are you?\n" for mark in marks[:4])
    differs = own.encode(turn, add_special_tokens=False).ids != tokenize(turn, True)
    return compared, "llama.cpp reads the spaces beside special tokens in another way" if differs and turn else ""


def _own_texts(own: object, vocabulary: Vocabulary) -> list[str]:
    """Texts made of the vocabulary's own pieces, in a random order that is always the same."""
    usable = [index for index, kind in enumerate(vocabulary.types) if kind in (NORMAL, USER_DEFINED)]
    order = np.random.default_rng(0).permutation(usable)[:2000]
    texts = (own.decode(part.tolist()) for part in np.array_split(order, 200))  # type: ignore[attr-defined]
    return [text for text in texts if "\ufffd" not in text and not any(mark in text for mark in _marks(vocabulary))]


def _marks(vocabulary: Vocabulary) -> list[str]:
    return [
        token
        for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
