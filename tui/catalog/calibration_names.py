"""The names of calibration texts that are no files: kinds of the built-in set, and data sets of the hub."""

from __future__ import annotations

from dataclasses import dataclass

BUILT_IN = ("", "prose", "code", "chat")
"""The whole built-in mixture, or one kind of it."""


@dataclass(frozen=True, slots=True)
class HubText:
    """A data set of the hub: one file of ``repo`` is enough. ``column`` holds the text."""

    name: str
    repo: str
    file: str
    column: str
    about: str


HUB_TEXTS = (
    HubText(
        "wikitext2",
        "Salesforce/wikitext",
        "wikitext-2-raw-v1/train-00000-of-00001.parquet",
        "text",
        "Wikipedia, 36,718 lines, 7 MB",
    ),
    HubText("c4", "allenai/c4", "en/c4-train.00000-of-01024.json.gz", "text", "the web in English, 320 MB"),
)
"""What other tools calibrate with by these names (transformers' GPTQConfig)."""


def hub_text(name: str) -> HubText | None:
    """The data set called ``name``."""
    return next((text for text in HUB_TEXTS if text.name == name), None)


def is_named_text(name: str) -> bool:
    """Whether ``name`` is one of these, and not a file."""
    return name in BUILT_IN or hub_text(name) is not None
