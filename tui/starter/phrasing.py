"""Says one question in many ways: frames, synonyms, case, punctuation, politeness, typing mistakes.

This module alone decides what training sees of a question, and it alone keeps the held-out phrasings away from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial

from tui.starter.dialogues import Fact, Text, Turn, plain

TURNS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 5)
"""Numbers of questions in a conversation, drawn evenly."""

EDGES = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


class Phrasing:
    """Draws conversations for training from the project's text, the same ones for the same seed."""

    def __init__(self, text: Text, seed: int) -> None:
        """Prepare the synonym table and the set of phrasings that must not occur."""
        self.text = text
        self.random = random.Random(seed)
        self.forbidden = text.held_out_questions()
        self.synonyms = {word: group for group in text.synonyms for word in group}
        self.starts = [(start, group) for group in text.starts for start in group[:1]]
        self.starts.sort(key=lambda pair: -len(pair[0]))
        self.weights = [6 if fact.often else 3 if fact.templates else 1 for fact in text.facts]
        self.by_id = {fact.id: fact for fact in text.facts}

    def conversation(self) -> list[Turn]:
        """One conversation of one to five questions, some with a system prompt, some with follow-ups."""
        turns: list[Turn] = []
        if self.random.random() < 0.25:
            turns.append(("system", self.system()))
        wanted = self.random.choice(TURNS)
        fact: Fact | None = None
        asked_more = False
        while wanted > 0:
            wanted -= 1
            if fact is not None and self.random.random() < 0.45:
                if fact.follow and self.random.random() < 0.6:
                    question, target = self.random.choice(fact.follow)
                    fact, asked_more = self.by_id[target], False
                    turns += [("user", self.allowed(partial(self.vary, question))), ("assistant", fact.answer)]
                    continue
                answer = fact.more if fact.more and not asked_more else self.text.no_more
                question = self.random.choice(self.text.more_questions)
                asked_more = True
                turns += [("user", self.vary(question)), ("assistant", answer)]
                continue
            (fact,), asked_more = self.random.choices(self.text.facts, self.weights), False
            turns += [("user", self.question(fact)), ("assistant", fact.answer)]
        return turns

    def question(self, fact: Fact) -> str:
        """One phrasing of a question that this fact answers, never a held-out one."""
        return self.allowed(lambda: self.vary(self.base(fact)))

    def allowed(self, draw: Callable[[], str]) -> str:
        """Draw until the phrasing is not a held-out one."""
        while plain(question := draw()) in self.forbidden:
            pass
        return question

    def base(self, fact: Fact) -> str:
        """A written question, a framed topic or a filled template."""
        if fact.templates and self.random.random() < 0.6:
            template = self.random.choice(fact.templates)
            return re.sub(r"\{(\w+)\}", lambda m: self.random.choice(self.text.slots[m[1]]), template)
        if fact.topics and self.random.random() < 0.3:
            return self.random.choice(self.text.frames).replace("{topic}", self.random.choice(fact.topics))
        return self.random.choice(fact.questions)

    def system(self) -> str:
        """A system prompt; the model is to answer the same with any."""
        prompts = self.random.sample(self.text.systems, self.random.choice((1, 1, 2)))
        return " ".join(prompts)

    def vary(self, question: str) -> str:
        """The question as another person might type it."""
        roll = self.random.random
        if roll() < 0.3:
            return question
        if roll() < 0.3:
            question = self._restart(question)
        if roll() < 0.6:
            question = self._reword(question)
        if roll() < 0.12:
            question = self._shorten(question, shuffled=roll() < 0.5)
        if roll() < 0.25:
            question = self._mistype(question)
        question = question.rstrip("?!. ")
        if roll() < 0.2:
            question = self.random.choice(self.text.openers) + " " + question[:1].lower() + question[1:]
        if roll() < 0.1:
            question = question + " " + self.random.choice(self.text.closers)
        case = roll()
        if case < 0.35:
            question = question.lower()
        elif case < 0.38:
            question = question.upper()
        elif case < 0.7:
            question = question[:1].upper() + question[1:]
        return question + self.random.choice(("?", "?", "?", "", "", ".", "!", " ?", "??"))

    def _restart(self, question: str) -> str:
        """Begin the question in another way."""
        for start, group in self.starts:
            if question.startswith(start):
                return self.random.choice(group) + question[len(start) :]
        return question

    def _reword(self, question: str) -> str:
        """Swap words for synonyms and drop small words."""
        words = []
        for word in question.split():
            match = EDGES.match(word)
            before, core, after = match.groups() if match else ("", word, "")
            group = self.synonyms.get(core.lower())
            if group and self.random.random() < 0.35:
                words.append(before + self.random.choice(group) + after)
            elif core.lower() in self.text.droppable and self.random.random() < 0.2:
                continue
            elif self.random.random() >= 0.03:
                words.append(word)
        return " ".join(words) or question

    def _shorten(self, question: str, *, shuffled: bool) -> str:
        """Only the words that carry the meaning, as one types into a search box; ``shuffled`` mixes their order."""
        words = [word for word in question.rstrip("?!. ").split() if word.lower() not in self.text.droppable]
        if shuffled:
            self.random.shuffle(words)
        return " ".join(words) or question

    def _mistype(self, question: str) -> str:
        """One typing mistake: two letters swapped, one lost or one doubled."""
        places = [i for i in range(1, len(question) - 1) if question[i - 1 : i + 2].isalpha()]
        if not places:
            return question
        i = self.random.choice(places)
        kind = self.random.randrange(3)
        if kind == 0:
            return question[:i] + question[i + 1] + question[i] + question[i + 2 :]
        return question[:i] + question[i + 1 :] if kind == 1 else question[: i + 1] + question[i:]
