"""Writes the model card from ``text/card.md`` and measured figures. Run as ``python -m tui.starter.card FIGURES``.

FIGURES is a folder of JSON files: ``train.json`` from ``train --log``, and ``16.json``, ``g128.json``, ``g64.json`` and
``g32.json`` from ``measure`` of the original and of its 4-bit builds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template

from tui.starter import starter_folder
from tui.starter.dialogues import TEXT_FOLDER, read_text

BUILDS = {"16": "float16 (original)", "g128": "GPTQ 4 bits, g128", "g64": "GPTQ 4 bits, g64", "g32": "GPTQ 4 bits, g32"}


def table(figures: dict[str, dict[str, float]]) -> str:
    """The evaluation table in Markdown: one row for each build."""
    rows = [
        "| build | own questions | held-out phrasings | own, third turn | held-out, third turn | perplexity | change |",
        "|---|---|---|---|---|---|---|",
    ]
    base = figures["16"]["perplexity"]
    for key, name in BUILDS.items():
        row = figures[key]
        shares = [f"{row[f'{group}_exact']:.1%}" for group in ("own", "held_out", "own_third", "held_out_third")]
        change = "" if key == "16" else f"{row['perplexity'] / base - 1:+.2%}"
        rows.append(f"| {name} | {' | '.join(shares)} | {row['perplexity']:.4f} | {change} |")
    return "\n".join(rows)


def card(folder: Path, figures: dict[str, dict[str, float]], training: dict[str, float]) -> str:
    """The text of the card for the model in ``folder``."""
    text = read_text()
    template = Template((TEXT_FOLDER / "card.md").read_text("utf-8"))
    return template.substitute(
        table=table(figures),
        facts=len(text.facts),
        own=int(figures["16"]["own_questions"]),
        held_out=int(figures["16"]["held_out_questions"]),
        third=int(figures["16"]["own_third_questions"]),
        prose=f"{figures['16']['prose_perplexity']:.0f}",
        megabytes=f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f}",
        tokens=f"{training['tokens'] / 1e6:.1f}",
        steps=f"{training['steps']:,}",
        minutes=round(training["seconds"] / 60),
    )


def main(words: list[str] | None = None) -> None:
    """Read the command line and write ``README.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--folder", type=Path, default=starter_folder())
    arguments = parser.parse_args(words)
    figures = {key: json.loads((arguments.figures / f"{key}.json").read_text("utf-8")) for key in BUILDS}
    training = json.loads((arguments.figures / "train.json").read_text("utf-8"))
    beside = arguments.folder / "README.md.new"
    beside.write_text(card(arguments.folder, figures, training), "utf-8")
    beside.rename(arguments.folder / "README.md")


if __name__ == "__main__":
    main()
