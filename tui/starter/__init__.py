"""The starter: one small real model inside the package, so that a machine without a network can do the whole job.

    model/        the weights, tokenizer, chat template and card; an ordinary Hugging Face folder
    text/         what it was trained on, written by this project
    dialogues.py  reads text/ and renders conversations
    phrasing.py   says one question in many ways
    train.py      makes model/ from text/
    measure.py    what the model card reports
    squeeze.py    4-bit builds of it, measured
    card.py       writes the model card

This module alone knows where the folder is. Nothing here imports torch before a function that needs it is called.
"""

from __future__ import annotations

from pathlib import Path

REPO = "heft/starter"
"""What the catalog gives as the starter's repository; it is a folder of this package, not a URL."""

MODEL_ID = "heft-starter"
"""The starter's id in the catalog."""


def starter_folder() -> Path:
    """The folder that holds the starter's weights, tokenizer and card."""
    return Path(__file__).resolve().parent / "model"


def heldout_text() -> list[str]:
    """Conversations whose questions the starter never saw, in its chat markup: the text for its perplexity."""
    from tui.starter.dialogues import read_text, render

    return [
        render([("user", question), ("assistant", fact.answer)])
        for fact in read_text().facts
        for question in fact.held_out
    ]


def training_text(samples: int, seed: int = 0) -> list[str]:
    """Training conversations in the chat markup, ``samples`` of them, the same for the same seed: calibration text."""
    from tui.starter.dialogues import read_text, render
    from tui.starter.phrasing import Phrasing

    phrasing = Phrasing(read_text(), seed)
    return [render(phrasing.conversation()) for _ in range(samples)]
