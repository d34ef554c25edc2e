"""Reads the text that this project wrote and renders it as conversations. Plain Python, standard library only.

This module alone knows the shape of ``text/*.toml`` and the markup of a conversation, which the chat template in
``model/`` must render in the same way (a test compares them).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
ROLES = ("system", "user", "assistant")
SPECIAL_TOKENS = (PAD, BEGIN, END, *(f"<|{role}|>" for role in ROLES))
"""In the order of their token ids, from 0."""

CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{%- set role = 'system' if message.role == 'developer' else message.role %}
{%- if role not in ['system', 'user', 'assistant'] %}{% set role = 'user' %}{% endif %}
{%- if message.content is string %}
{%- set content = message.content %}
{%- elif message.content %}
{%- set content = message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join(' ') %}
{%- else %}
{%- set content = '' %}
{%- endif %}
{{- '<|' + role + '|>' + content | trim + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""

TEXT_FOLDER = Path(__file__).resolve().parent / "text"

Turn = tuple[str, str]
"""A role and what it said."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer and the questions that it answers.

    ``held_out`` questions are never trained on. ``topics`` are names of the thing, asked for through the frames.
    ``more`` answers "tell me more" after this fact; ``follow`` pairs a follow-up question with another fact's id.
    ``templates`` are questions with slots, filled from ``slots``. ``often`` marks what people ask first.
    """

    id: str
    answer: str
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    topics: tuple[str, ...] = ()
    more: str = ""
    follow: tuple[tuple[str, str], ...] = ()
    templates: tuple[str, ...] = ()
    often: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Everything in ``text/``: facts, prose, and the ways of asking."""

    facts: tuple[Fact, ...]
    prose: tuple[str, ...]
    held_out_prose: tuple[str, ...]
    frames: tuple[str, ...]
    more_questions: tuple[str, ...]
    no_more: str
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    systems: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    starts: tuple[tuple[str, ...], ...]
    droppable: frozenset[str]
    slots: dict[str, tuple[str, ...]]

    def held_out_questions(self) -> frozenset[str]:
        """Every held-out phrasing, normalised; training leaves these out however they come about."""
        return frozenset(plain(question) for fact in self.facts for question in fact.held_out)

    def answers(self) -> dict[str, str]:
        """Answer by fact id."""
        return {fact.id: fact.answer for fact in self.facts}


def read_text(folder: Path = TEXT_FOLDER) -> Text:
    """Read ``text/*.toml``. Raises ``ValueError`` on a fact id that occurs twice or a follow-up to nowhere."""
    facts: list[Fact] = []
    for path in sorted(folder.glob("*.toml")):
        facts += [_fact(row) for row in tomllib.loads(path.read_text("utf-8")).get("fact", [])]
    known = {fact.id for fact in facts}
    if len(known) != len(facts):
        raise ValueError(f"fact ids occur twice: {sorted(i for i in known if sum(f.id == i for f in facts) > 1)}")
    lost = {target for fact in facts for _, target in fact.follow} - known
    if lost:
        raise ValueError(f"follow-ups lead to unknown facts: {sorted(lost)}")
    reserved = {plain(question) for fact in facts for question in fact.held_out}
    leaks = sorted(q for fact in facts for q in fact.questions if plain(q) in reserved)
    if leaks:
        raise ValueError(f"held-out phrasings are also training questions: {leaks}")
    asking = tomllib.loads((folder / "asking.toml").read_text("utf-8"))
    prose = tomllib.loads((folder / "prose.toml").read_text("utf-8"))
    return Text(
        facts=tuple(facts),
        prose=tuple(prose["paragraphs"]),
        held_out_prose=tuple(prose["held_out"]),
        frames=tuple(asking["frames"]),
        more_questions=tuple(asking["more_questions"]),
        no_more=asking["no_more"],
        openers=tuple(asking["openers"]),
        closers=tuple(asking["closers"]),
        systems=tuple(asking["systems"]),
        synonyms=tuple(tuple(group) for group in asking["synonyms"]),
        starts=tuple(tuple(group) for group in asking["starts"]),
        droppable=frozenset(asking["droppable"]),
        slots={name: tuple(values) for name, values in asking["slots"].items()},
    )


def _fact(row: dict[str, object]) -> Fact:
    def strings(key: str) -> tuple[str, ...]:
        value = row.get(key, [])
        assert isinstance(value, list)
        return tuple(str(item) for item in value)

    follow = row.get("follow", [])
    assert isinstance(follow, list)
    return Fact(
        id=str(row["id"]),
        answer=str(row["answer"]),
        questions=strings("questions"),
        held_out=strings("held_out"),
        topics=strings("topics"),
        more=str(row.get("more", "")),
        follow=tuple((str(question), str(target)) for question, target in follow),
        templates=strings("templates"),
        often=bool(row.get("often", False)),
    )


def render(turns: Sequence[Turn], *, prompt: bool = False) -> str:
    """The conversation in the model's markup; with ``prompt`` it ends where the assistant is to speak."""
    parts = [BEGIN, *(f"<|{role}|>{content.strip()}{END}" for role, content in turns)]
    return "".join(parts) + ("<|assistant|>" if prompt else "")


def plain(question: str) -> str:
    """A question reduced to its lower-case words, so that two phrasings can be compared."""
    return " ".join(re.findall(r"[a-z0-9_.]*[a-z0-9_]", question.lower()))


def same_answer(said: str, wanted: str) -> bool:
    """Whether two answers are the same but for white space."""
    return said.split() == wanted.split()
