"""Makes the starter: tokenizer and weights, from the text in ``text/``. Run as ``python -m tui.starter.train``.

The same seed and text give the same conversations; with ``--steps`` alone and the same number of threads also, on one
machine, the same weights. The result is written beside its place and renamed into it, so a half-made model is never
visible.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tui.starter import starter_folder
from tui.starter.dialogues import BEGIN, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS, Text, Turn, read_text, render
from tui.starter.phrasing import Phrasing

VOCABULARY = 2048
CONTEXT = 1024
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
"""Widths are multiples of 128, so that every GPTQ group size up to 128 divides them."""

QUESTION_WEIGHT = 0.15
"""Loss weight of a question's tokens; an answer's tokens weigh 1."""

OPENING, OPENING_WEIGHT = 8, 3.0
"""An answer's first tokens, where the model decides which answer it gives, and their loss weight."""

CUT = 0.8
"""Share of conversations that end after the opening of their last answer: the rest of an answer is easily learned, and
without it more questions are seen in the same time."""

LABEL_SMOOTHING = 0.03
DROPOUT = 0.1

Sample = tuple[list[int], list[float]]
"""Token ids and, for each, its loss weight."""


def build_tokenizer(text: Text, seed: int) -> Any:
    """Train a byte-level BPE tokenizer with ``VOCABULARY`` tokens on the training text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    phrasing = Phrasing(text, seed)
    corpus = [content for _ in range(4000) for role, content in phrasing.conversation() if role != "assistant"]
    corpus += [part for fact in text.facts for part in (fact.answer, fact.more)] * 10 + list(text.prose) * 4
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (BEGIN, END, PAD)],
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: Any) -> Any:
    """A Llama causal LM of the starter's shape with random weights, float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        rms_norm_eps=1e-5,
        initializer_range=0.03,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    return LlamaForCausalLM(config)


def encode(tokenizer: Any, turns: list[Turn], *, cut: bool) -> Sample:
    """Token ids of a conversation and their loss weights; ``cut`` ends it after the opening of the last answer."""
    ids = [tokenizer.bos_token_id]
    weights = [0.0]
    for role, content in turns:
        said = tokenizer.encode(content.strip() + END, add_special_tokens=False)
        ids += [tokenizer.convert_tokens_to_ids(f"<|{role}|>"), *said]
        weight = {"assistant": 1.0, "user": QUESTION_WEIGHT}.get(role, 0.05)
        opening = min(OPENING, len(said)) if role == "assistant" else 0
        weights += [0.0, *([OPENING_WEIGHT] * opening), *([weight] * (len(said) - opening))]
    length = min(CONTEXT, len(ids) - max(0, len(said) - OPENING) if cut else len(ids))
    return ids[:length], weights[:length]


def add_dropout(model: Any) -> None:
    """Drop a tenth of what the embeddings and each block add while training; the saved model has no trace of it."""
    from torch.nn.functional import dropout

    def drop(module: Any, _: Any, output: Any) -> Any:
        return dropout(output, DROPOUT, module.training)

    model.model.embed_tokens.register_forward_hook(drop)
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(drop)
        layer.mlp.down_proj.register_forward_hook(drop)


def encode_prose(tokenizer: Any, paragraph: str) -> Sample:
    """Token ids of a paragraph of prose, with a loss weight of a half."""
    ids = [tokenizer.bos_token_id, *tokenizer.encode(paragraph, add_special_tokens=False), tokenizer.eos_token_id]
    return ids, [0.0] + [0.5] * (len(ids) - 1)


def batches(text: Text, tokenizer: Any, seed: int, tokens: int) -> Iterator[list[Sample]]:
    """Endless batches of about ``tokens`` tokens, samples of like length together."""
    phrasing = Phrasing(text, seed)
    while True:
        pool = [
            encode_prose(tokenizer, phrasing.random.choice(text.prose))
            if phrasing.random.random() < 0.03
            else encode(tokenizer, phrasing.conversation(), cut=phrasing.random.random() < CUT)
            for _ in range(768)
        ]
        pool.sort(key=lambda sample: len(sample[0]))
        groups: list[list[Sample]] = [[]]
        for sample in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(sample[0]) > tokens:
                groups.append([])
            groups[-1].append(sample)
        phrasing.random.shuffle(groups)
        yield from groups


def batch_loss(model: Any, batch: list[Sample], pad: int) -> Any:
    """Weighted cross entropy of one batch, padded on the right; a scalar tensor."""
    import torch
    from torch.nn.functional import cross_entropy

    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch])
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in batch])[:, 1:].reshape(-1)
    logits = model(input_ids=ids[:, :-1]).logits
    losses = cross_entropy(
        logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none", label_smoothing=LABEL_SMOOTHING
    )
    return (losses * weights).sum() / weights.sum()


def begin(text: Text, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Tokenizer and float32 model: new ones, or those of the folder ``arguments.start``."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if arguments.start is None:
        tokenizer = build_tokenizer(text, arguments.seed)
        return tokenizer, build_model(tokenizer)
    import torch

    tokenizer = AutoTokenizer.from_pretrained(arguments.start)
    return tokenizer, AutoModelForCausalLM.from_pretrained(arguments.start, dtype=torch.float32)


def train(arguments: argparse.Namespace) -> None:
    """Train and save; progress goes to stderr, one line every 50 steps."""
    import torch

    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    text = read_text()
    tokenizer, model = begin(text, arguments)
    smooth = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    add_dropout(model)
    model.train()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(text.facts)} facts", file=sys.stderr)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=arguments.lr,
        betas=(0.9, 0.98),
    )
    source = batches(text, tokenizer, arguments.seed, arguments.batch_tokens)
    started, running, seen = time.monotonic(), 0.0, 0
    step, done = 0, 0.0
    while done < 1.0:
        step += 1
        spent = time.monotonic() - started
        done = min(1.0, max(step / arguments.steps, spent / 60 / arguments.minutes))
        rate = arguments.lr * min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(source)
        loss = batch_loss(model, batch, tokenizer.pad_token_id)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        smooth.update_parameters(model)
        seen += sum(len(ids) for ids, _ in batch)
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0 or done == 1.0:
            line = f"step {step} ({done:.0%}) loss {running:.4f} {seen / max(spent, 1):.0f} tok/s {spent:.0f} s"
            print(line, file=sys.stderr, flush=True)
        if step % 250 == 0:
            save(smooth.module, tokenizer, text, arguments.out.with_name(arguments.out.name + ".part"))
    save(smooth.module, tokenizer, text, arguments.out)
    (arguments.log or Path("/dev/null")).write_text(
        json.dumps({"seconds": round(time.monotonic() - started), "tokens": seen, "steps": step})
    )


def save(model: Any, tokenizer: Any, text: Text, folder: Path) -> None:
    """Write float16 weights, tokenizer and configs beside ``folder``, then rename into it; a card there is kept."""
    import copy

    import torch
    from transformers import GenerationConfig

    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    half = copy.deepcopy(model).to(torch.float16)
    half.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=160,
    )
    half.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    settings = json.loads((beside / "tokenizer_config.json").read_text("utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 and other engines know too
    (beside / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    (beside / "model.safetensors").chmod(0o644)
    check = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=False, add_generation_prompt=True
    )
    if check != render([("user", "hello")], prompt=True):
        raise ValueError(f"the chat template and the training markup differ: {check!r}")
    if (folder / "README.md").exists():
        shutil.copy(folder / "README.md", beside / "README.md")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def main(words: list[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=starter_folder(), help="folder to write")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-tokens", type=int, default=2048, help="tokens in a batch, padding included")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, on a machine shared with others")
    parser.add_argument("--start", type=Path, help="go on from this folder's weights and tokenizer")
    parser.add_argument("--log", type=Path, help="file for seconds, tokens and steps as JSON")
    train(parser.parse_args(words))


if __name__ == "__main__":
    main()
