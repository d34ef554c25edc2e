"""The model card of a build that Heft made: where it came from, how it was made and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.catalog.build import Quality, Recipe
from tui.catalog.provenance import quality_of, recipe_of
from tui.plain_text import clean_line
from tui.quantities import bytes_text

CARD_FILE = "README.md"
_NAMES = {"gptq": "GPTQ", "awq": "AWQ", "rtn": "rounding to nearest"}


def card_text(name: str, facts: Mapping[str, Any]) -> str:
    """The README.md of the build called ``name`` whose heft.json holds ``facts``; no path of this machine is in it."""
    recipe, quality = recipe_of(facts) or Recipe(), quality_of(facts) or Quality()
    repo = clean_line(str(facts.get("repo") or ""))
    published = repo if repo.count("/") == 1 and not repo.startswith(("/", ".")) else ""
    origin = published or clean_line(str(facts.get("model") or name))
    head = ["---", *([f"base_model: {published}", "base_model_relation: quantized"] if published else [])]
    head += ["library_name: transformers", "tags:", f"- {recipe.method}", f"- {recipe.bits}-bit", "---", ""]
    revision = clean_line(str(facts.get("revision") or ""))
    body = [f"# {name}", "", f"{origin}{f' at {revision}' if revision else ''}, quantized: {_recipe_words(recipe)}."]
    body += ["", *_table(quality)]
    if quality.is_flagged:
        body += [
            "",
            f"It lost more than {quality.limit or 0:.0%} of its perplexity: look at its answers before you use it.",
        ]
    loads = (
        "plain transformers" if facts.get("loader") == "transformers" else "`GPTQModel.load` (not plain transformers)"
    )
    versions = facts.get("versions") if isinstance(facts.get("versions"), Mapping) else {}
    made = ", ".join(f"{key} {value}" for key, value in sorted((versions or {}).items()))
    body += [
        "",
        f"It loads with {loads}. After it was saved it was loaded again in a fresh process and held to what was",
    ]
    body += [
        "quantized, layer by layer. heft.json holds the recipe, the hashes and every figure.",
        "",
        f"Made with {made}.",
    ]
    return "\n".join([*head, *body]) + "\n"


def _recipe_words(recipe: Recipe) -> str:
    group = f"groups of {recipe.group_size}" if recipe.group_size > 0 else "one group per row"
    parts = [f"{_NAMES.get(recipe.method, recipe.method)}, {recipe.bits} bits in {group}"]
    parts += ["activation order"] if recipe.desc_act else []
    parts += [] if recipe.sym else ["asymmetric"]
    return ", ".join(parts)


def _table(quality: Quality) -> list[str]:
    rows = [
        ("perplexity", quality.perplexity_before, quality.perplexity_after, "{:.4g}".format),
        ("weights on disk", quality.size_before, quality.size_after, bytes_text),
        ("tokens per second", quality.speed_before, quality.speed_after, "{:.1f}".format),
        ("memory at the peak", quality.memory_before, quality.memory_after, bytes_text),
    ]
    lines = ["| | before | after |", "|---|---|---|"]
    for label, before, after, text in rows:
        if after is not None:
            lines.append(f"| {label} | {'—' if before is None else text(before)} | {text(after)} |")
    loss = quality.relative_loss
    words = [f"{loss:+.2%} perplexity over {quality.tokens} tokens of held-out text"] if loss is not None else []
    if quality.kl_divergence is not None and quality.top1_agreement is not None:
        words.append(f"KL divergence {quality.kl_divergence:.4f} nats")
        words.append(f"the same next token first at {quality.top1_agreement:.1%} of {quality.positions} positions")
    return [*lines, "", "; ".join(words) + "." if words else "Not measured yet."]
