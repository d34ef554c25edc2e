"""Model cards: from the nearest source, harmless whatever stands in them, made from facts where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.folders import add_cached, cache_model
from tests.local_hub import LocalHub
from tui.catalog import card_text
from tui.catalog.card import Card, load_card, read_card
from tui.catalog.card_text import clean_markdown, find_sections, split_front_matter
from tui.catalog.catalog_file import load_catalog
from tui.catalog.hub import Hub
from tui.catalog.model import Model
from tui.paths import Paths
from tui.settings import Settings

README = """---
license: apache-2.0
tags: [chat, "evil\\e[31m"]
model-index:
- name: x
  results:
  - dataset: {name: MMLU}
    metrics: [{type: acc, value: 61.5}]
---
# Tiny

<div align="center"><img src="x.png"/> <b>bold</b></div>

## Intended use
Talk.

### Out-of-scope
Medicine.

## Training data
Books.

## Bias, Risks, and Limitations
Makes things up.

```python
# Evaluation
print("<b>kept</b>")
```

## License
Apache.
"""

MODEL = Model(id="tiny", name="Tiny", repo="org/tiny", license="MIT", dataset="catalog data", strengths="small")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        yield hub


def test_a_card_is_read_into_sections() -> None:
    card = read_card(README, MODEL, "hub")
    assert card.front_matter["license"] == "apache-2.0" and card.front_matter["tags"] == ["chat", "evil\ufffd[31m"]
    assert (
        card.text.startswith("# Tiny") and "<div" not in card.text and "<img" not in card.text and "bold" in card.text
    )
    assert '# Evaluation\nprint("<b>kept</b>")' in card.text
    assert card.sections["intended_use"].startswith("Talk.")
    assert "Medicine." in card.sections["intended_use"] and card.sections["limitations"].startswith("Medicine.")
    assert card.sections["training_data"] == "Books."
    assert "Makes things up." in card.sections["limitations"] and "Makes things up." in card.sections["bias"]
    assert "| MMLU | acc | 61.5 |" in card.sections["evaluation"]
    assert "## Evaluation results" in card.text and "| MMLU | acc | 61.5 |" in card.text
    assert card.sections["license"] == "Apache."


def test_the_catalogs_facts_fill_what_the_card_leaves_open() -> None:
    card = read_card("# Only a title\n\nText.\n", MODEL, "hub")
    assert card.sections == {
        "intended_use": "small",
        "training_data": "catalog data",
        "license": "MIT: commercial use not known",
    }


@pytest.mark.parametrize(
    "front",
    [
        "a: [",
        "- list",
        "a: !!python/object/apply:os.system ['touch /tmp/x']",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
        "a: &a\n  b: *a",
        "[" * 5000,
        "x: 99999-99-99",
    ],
)
def test_hostile_front_matter_gives_nothing(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walk, steps = card_text._cleaned, []
    monkeypatch.setattr(card_text, "_cleaned", lambda *node: steps.append(1) or walk(*node))
    table, rest = split_front_matter(f"---\n{front}\n---\nbody\n")
    assert rest == "body\n" and len(steps) <= card_text._FRONT_MATTER_NODES + 1
    assert table == {} or table == {"x": "99999-99-99"}
    assert table == {} or table == {"x": "99999-99-99"}


def test_front_matter_that_never_ends_is_text() -> None:
    assert split_front_matter("---\na: 1\nno end") == ({}, "---\na: 1\nno end")
    assert split_front_matter("\ufeff---\r\na: 1\r\n---\r\nbody") == ({"a": 1}, "body")


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("a\x1b[31mred\x07", "a\ufffd[31mred\ufffd"),
        ("a\u202eb", "a\ufffdb"),
        ("<script>alert(1)</script>x", "alert(1)x"),
        ("a<!-- hidden\nmore -->b", "ab"),
        ("a<!-- never closed", "a"),
        ("![badge](http://x/y.svg)", "badge"),
        ("[![badge](http://x/y.svg)](http://x)", "[badge](http://x)"),
        ("[run](javascript:alert(1))", "[run] (javascript:alert(1))"),
        ("[run]( JAVASCRIPT:x)", "[run] ( JAVASCRIPT:x)"),
        ("[file](<file:///etc/passwd>)", "[file] (< file:///etc/passwd>)"),
        ("[a]: data:text/html,x", "[a] : data:text/html,x"),
        ("<vbscript:x> <https://x.org> <mailto:a@b.c>", "< vbscript:x> <https://x.org> <mailto:a@b.c>"),
        ("[](http://x) [ref]: https://x.org", " [ref]: https://x.org".strip()),
        ("[home](https://x.org/a) [rel](docs/a.md)", "[home](https://x.org/a) [rel](docs/a.md)"),
        ('<a href="https://x.org">home</a>', "[home](https://x.org)"),
        ("a<br>b", "a\nb"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("```\n<b>code</b>\n```", "```\n<b>code</b>\n```"),
        ("a\n\n\n\n\nb", "a\n\nb"),
    ],
)
def test_markdown_is_made_harmless(markdown: str, plain: str) -> None:
    assert clean_markdown(markdown) == plain + "\n"


@pytest.mark.parametrize("piece", ["<", "<a ", "![", "[](", "[x](", "<!--", "```\n", "# a\n", "<a href='https://", "#"])
@pytest.mark.parametrize("head", ["", "# "])
def test_cards_made_to_be_slow_end(head: str, piece: str) -> None:
    """What takes the square of this length takes longer than any test may."""
    find_sections(clean_markdown(head + piece * (300_000 // len(piece)) + "x"))


@pytest.mark.parametrize(
    ("heading", "title"),
    [("# Usage", "usage"), ("## Usage ##", "usage"), ("# Usage #\t", "usage #"), ("# Usage of C#", "usage of c")],
)
def test_a_heading_may_be_closed(heading: str, title: str) -> None:
    assert card_text.heading_of(heading) == (heading.count("#", 0, 2), title)


def test_a_title_is_no_section_and_sections_end_at_their_level() -> None:
    text = "# Usage of Tiny\nintro\n## How to use\nrun\n### More\nmore\n## Other\nno\n# Evaluation\nscores\n"
    assert find_sections(text) == {"how_to_use": "run\n### More\nmore", "evaluation": "scores"}


def test_sources_from_near_to_far(server: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add_repo("org/tiny", {"README.md": b"# From the hub\n"})
    hub = Hub(paths, Settings())
    made = load_card(MODEL, paths, None)
    assert made.source == "catalog" and "made from the catalog" in made.text
    assert load_card(MODEL, paths, hub).source == "hub"
    assert not paths.hub_cache.exists()
    server.requests.clear()
    assert load_card(MODEL, paths, hub).source == "browse-cache" and server.requests == []
    assert load_card(MODEL, paths, None).text == "# From the hub\n"
    kept = next((paths.browse_cache / "cards").iterdir())
    os.utime(kept, (1, 1))
    assert load_card(MODEL, paths, hub).source == "hub" and server.requests
    add_cached(cache_model(paths.hub_cache, "org/tiny"), "README.md", b"# From the cache\n")
    assert load_card(MODEL, paths, hub).text == "# From the cache\n"


def test_a_hub_that_is_down_leaves_the_old_card_or_the_facts(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/tiny", {"README.md": b"# Old\n"})
    hub = Hub(paths, Settings())
    load_card(MODEL, paths, hub)
    kept = next((paths.browse_cache / "cards").iterdir())
    os.utime(kept, (1, 1))
    server.fault("GET", "status", code=503)
    card = load_card(MODEL, paths, hub)
    assert (card.source, card.text) == ("browse-cache", "# Old\n") and "503" in card.note
    kept.unlink()
    card = load_card(MODEL, paths, hub)
    assert card.source == "catalog" and "503" in card.note


def test_gated_and_missing_cards_say_why(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/gated", {"README.md": b"x"}, gated="auto")
    server.add_repo("org/bare", {"config.json": b"{}"})
    hub = Hub(paths, Settings())
    gated = load_card(Model(id="g", name="G", repo="org/gated", gated=True), paths, hub)
    assert gated.source == "catalog" and "gated" in gated.note and f"{server.url}/org/gated" in gated.note
    assert "terms must be accepted" in gated.text
    assert "no README.md" in load_card(Model(id="b", name="B", repo="org/bare"), paths, hub).note


def test_a_folder_brings_its_own(paths: Paths, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    model = Model(id="m", name="M", repo=str(folder), source="folder")
    assert load_card(model, paths, None).source == "catalog"
    (folder / "README.md").write_bytes(b"\xff\xfe# Mine\x1b[2J\n")
    card = load_card(model, paths, None)
    assert card.source == "folder" and "\x1b" not in card.text and "# Mine" in card.text


def test_names_that_are_no_repository_are_not_looked_up(paths: Paths) -> None:
    for repo in ("../../etc", "a/b/c", "x y"):
        assert load_card(Model(id="x", name="X", repo=repo), paths, None).source == "catalog"
    (paths.hub_cache / "models--org--tiny" / "refs").mkdir(parents=True)
    evil = Model(id="x", name="X", repo="org/tiny", revision="../../../../secret")
    assert load_card(evil, paths, None).source == "catalog"


def test_every_row_of_the_catalog_has_a_card(paths: Paths) -> None:
    for model in load_catalog(paths).models:
        card = load_card(model, paths, None)
        assert isinstance(card, Card) and len(card.text) > 100, model.id
        assert card.text.replace("\n", "").isprintable(), model.id
        if model.unusable_because:
            assert "Cannot be used today" in card.text
        if model.api and model.api.price_in is not None:
            assert "per million tokens (20" in card.text


def test_markup_in_facts_stays_text() -> None:
    card = read_card("", Model(id="x", name="[red]x[/red] `a` *b*", repo="org/x"), "hub")
    assert "\\[red\\]x\\[/red\\] \\`a\\` \\*b\\*" in card.text
