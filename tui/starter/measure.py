"""Measures a starter folder: exact answers and perplexity. Run as ``python -m tui.starter.measure [FOLDER]``.

This module alone makes the figures of the model card; it works for a quantized folder as well. Answers are greedy, and
exact means every word and sign of the written answer.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui.starter import heldout_text, starter_folder
from tui.starter.dialogues import END, Text, Turn, read_text, render

BATCH = 48
NEW_TOKENS = 140

Case = tuple[list[Turn], str]
"""A conversation that ends with a question, and the answer that is wanted."""


def load(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, float32 on the CPU, ready for inference."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    return tokenizer, model


def answers(tokenizer: Any, model: Any, conversations: Sequence[list[Turn]]) -> list[str]:
    """The greedy answer to each conversation, at most ``NEW_TOKENS`` tokens."""
    import torch

    prompts = [render(turns, prompt=True) for turns in conversations]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    said = [""] * len(prompts)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        inputs = tokenizer([prompts[i] for i in places], return_tensors="pt", padding=True, padding_side="left")
        with torch.no_grad():
            out = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                max_new_tokens=NEW_TOKENS,
            )
        for place, row in zip(places, out[:, inputs["input_ids"].shape[1] :], strict=True):
            said[place] = tokenizer.decode(row, skip_special_tokens=True)
    return said


def exact(tokenizer: Any, model: Any, rows: Sequence[Case]) -> list[bool]:
    """Whether the greedy answer to each case is the wanted one, end mark included.

    Greedy decoding gives the wanted answer just when each of its tokens is the likeliest after those before it, so one
    pass over question and answer together tells, without writing the answer token by token.
    """
    import torch

    encoded = []
    for turns, wanted in rows:
        prompt = tokenizer.encode(render(turns, prompt=True), add_special_tokens=False)
        encoded.append((prompt, tokenizer.encode(wanted.strip() + END, add_special_tokens=False)))
    order = sorted(range(len(rows)), key=lambda i: len(encoded[i][0]) + len(encoded[i][1]))
    right = [False] * len(rows)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        width = max(len(encoded[i][0]) + len(encoded[i][1]) for i in places)
        padded = [[*encoded[i][0], *encoded[i][1]] for i in places]
        ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in padded])
        with torch.no_grad():
            best = model(input_ids=ids).logits.argmax(-1).tolist()
        for place, row in zip(places, best, strict=True):
            prompt, wanted_ids = encoded[place]
            right[place] = row[len(prompt) - 1 : len(prompt) - 1 + len(wanted_ids)] == wanted_ids
    return right


def perplexity(tokenizer: Any, model: Any, texts: Sequence[str]) -> float:
    """Exponential of the mean negative log likelihood per token over all texts, their first tokens aside."""
    import torch
    from torch.nn.functional import cross_entropy

    loss, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].float()
        loss += cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return math.exp(loss / count)


def cases(text: Text) -> dict[str, list[Case]]:
    """The questions to ask, by group: trained ones, held-out ones, and both as the third question of a chat."""
    rng = random.Random(1)
    own: list[Case] = [([("user", q)], fact.answer) for fact in text.facts for q in fact.questions]
    held_out: list[Case] = [([("user", q)], fact.answer) for fact in text.facts for q in fact.held_out]

    def later(rows: list[Case]) -> list[Case]:
        chosen = rng.sample(rows, min(200, len(rows)))
        result: list[Case] = []
        for turns, wanted in chosen:
            before: list[Turn] = []
            for fact in rng.sample(text.facts, 2):
                before += [("user", rng.choice(fact.questions)), ("assistant", fact.answer)]
            result.append(([*before, *turns], wanted))
        return result

    return {"own": own, "held_out": held_out, "own_third": later(own), "held_out_third": later(held_out)}


def measure(folder: Path, *, misses: bool = False) -> dict[str, float]:
    """Share of exact answers for each group of questions, numbers of questions, and perplexity on held-out text."""
    tokenizer, model = load(folder)
    text = read_text()
    figures: dict[str, float] = {}
    for group, rows in cases(text).items():
        right = exact(tokenizer, model, rows)
        figures[f"{group}_exact"] = round(sum(right) / len(rows), 4)
        figures[f"{group}_questions"] = len(rows)
        if misses and not group.endswith("_third"):
            wrong = [turns for ok, (turns, _) in zip(right, rows, strict=True) if not ok]
            for turns, mine in zip(wrong, answers(tokenizer, model, wrong), strict=True):
                print(f"{group}: {turns[-1][1]} -> {mine}", file=sys.stderr)
    figures["perplexity"] = round(perplexity(tokenizer, model, heldout_text()), 4)
    prose = [render([]) + paragraph for paragraph in text.held_out_prose]
    figures["prose_perplexity"] = round(perplexity(tokenizer, model, prose), 2)
    return figures


def main(words: list[str] | None = None) -> None:
    """Read the command line, measure and print one JSON object."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=starter_folder())
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--misses", action="store_true", help="print the questions that were answered wrongly to stderr"
    )
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    print(json.dumps(measure(arguments.folder, misses=arguments.misses)))


if __name__ == "__main__":
    main()
