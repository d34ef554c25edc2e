"""What a person may want of a model: the answers of the decision tree, each of which may be left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tui.catalog.tasks import kinds_of_task
from tui.errors import UsageError
from tui.plain_text import clean_line


@dataclass(frozen=True, slots=True)
class Wishes:
    """The answers. Empty or False means "no opinion".

    ``budget`` is "low" or "high"; ``performance`` "best" or "good" (on a budget); ``latency`` "fast" (a first answer
    in under 100 ms), "normal" (1 to 2 s) or "any"; ``privacy``: data may not leave; ``specialised``: for one narrow
    task; ``commercial``: for work that earns money; ``language`` a code or an English name.
    """

    task: str = "chat"
    budget: str = ""
    privacy: bool = False
    performance: str = ""
    latency: str = ""
    finetune: bool = False
    specialised: bool = False
    offline: bool = False
    commercial: bool = False
    language: str = ""

    def __post_init__(self) -> None:
        for name, known in ANSWERS.items():
            value = getattr(self, name)
            if value not in known:
                words = ", ".join(word for word in known if word)
                raise UsageError(f"{clean_line(str(value), 40)!r} is no answer for {name}", f"known are {words}")
        if not kinds_of_task(self.task):
            raise UsageError(
                f"{clean_line(self.task, 40)!r} is not a task that Heft knows",
                "for example chat, code, text, translation, embedding, classification, ner, speech, image-gen",
            )

    @property
    def at_home(self) -> bool:
        """Nothing may leave this machine, or nothing can."""
        return self.privacy or self.offline

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of models that do the task; "text" takes in chat and code."""
        return kinds_of_task(self.task)


ANSWERS: Mapping[str, tuple[str, ...]] = {
    "budget": ("", "low", "high"),
    "performance": ("", "best", "good"),
    "latency": ("", "fast", "normal", "any"),
}
"""The words that may answer each question."""
