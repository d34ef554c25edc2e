"""Loading catalogs: mistakes are named and cost no other row, the user's file changes ours, the cache never lies."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tui.catalog import catalog_file, catalog_rows
from tui.catalog.catalog_file import load_catalog
from tui.catalog.catalog_rows import parse_rows
from tui.paths import Paths

GOOD = '[[model]]\nid = "good"\nkind = "chat"\nrepo = "org/good"\nparams = 7\n'


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse_rows(text, "mine.toml").problems]


def ids(text: str) -> list[str]:
    return [row["id"] for row in parse_rows(text, "mine.toml").rows]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('params = "7B"', "mine.toml, line 9, bad, params: '7B' is not a whole number of at least 1"),
        ("params = true", "params: True is not a whole number"),
        ("params = 0", "params: 0 is not a whole number of at least 1"),
        ("params = 1e9", "params: 1000000000.0 is not a whole number"),
        ('kind = "chatt"', "kind: 'chatt' is not one of chat, text, code"),
        ("gated = 1", "gated: 1 is not true or false"),
        ("name = 3", "name: 3 is not a text in quotes"),
        ('released = "May 2024"', "released: 'May 2024' is not like \"2024-07\""),
        ('repo = "a/b/c"', "repo: 'a/b/c' is not like"),
        ('license_url = "javascript:alert(1)"', "license_url: 'javascript:alert(1)' is not an address"),
        ('formats = "gguf"', "formats: 'gguf' is not a list of texts"),
        ("weights_gb = nan", "weights_gb: nan is not a number of at least 0"),
        ("context_lenght = 4096", "context_lenght: is not a key here; did you mean context_length?"),
        ("flurb = 1", "flurb: is not a key here"),
        ("api = 3", "api: 3 is not a table"),
        ('api = { modelid = "x" }', "api.modelid: is not a key here; did you mean model_id?"),
        ('api = { key_env = "sk-12 34" }', "the name of a variable, never the key"),
    ],
)
def test_a_bad_value_is_named_and_only_that_key_is_lost(line: str, said: str) -> None:
    text = f'{GOOD}\n[[model]]\nid = "bad"\n{line}\nvendor = "V"\n'
    (problem,) = problems(text)
    assert said in problem
    assert problem.startswith("mine.toml, line 9, bad, ")
    assert ids(text) == ["good", "bad"]
    assert parse_rows(text, "mine.toml").rows[1]["vendor"] == "V"


def test_rows_without_a_usable_id_and_rows_that_stand_twice_are_left_out() -> None:
    text = GOOD + '[[model]]\nname = "nameless"\n[[model]]\nid = "a b"\n' + GOOD
    said = problems(text)
    assert ids(text) == ["good"]
    assert said == [
        "mine.toml, line 6, #2, id: is missing, so the row is left out",
        'mine.toml, line 9, a b, id: \'a b\' is not like "qwen3-4b" (letters, digits, ".", "_", "-")',
        "mine.toml, line 11, good, id: stands twice (first in line 2); this one is left out",
    ]


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ('[[model]]\nid = "torn"\nname = "no end\nparams = 3\n', 8),
        ('[[model]]\nid = "torn"\nparams = \n', 8),
        ('[[model]]\nid = "torn"\nid = "twice"\n', 8),
        ('[[model]]\nid = "torn"\nnote = """never closed\n', 8),
        ('[[model]\nid = "torn"\n', 6),
    ],
)
def test_a_row_that_is_not_toml_costs_only_itself(broken: str, line: int) -> None:
    last = '[[model]]\nid = "last"\nrepo = "org/last"\n'
    text = GOOD + broken + last
    found = parse_rows(text, "mine.toml")
    kept = [row["id"] for row in found.rows]
    assert kept[-1] == "last"
    (problem,) = found.problems
    assert "is not TOML" in problem.message
    # A broken [[model]] header belongs to the row above it, which then is the one that is lost.
    if broken.startswith("[[model]]"):
        assert kept == ["good", "last"] and problem.row == "torn" and problem.line == line
    else:
        assert kept == ["last"] and problem.row == "good" and problem.line == line


def test_a_broken_head_still_gives_the_rows() -> None:
    text = "[licenses\n" + GOOD
    assert ids(text) == ["good"]
    assert "what stands before the first row is left out" in problems(text)[0]


@pytest.mark.parametrize("text", ["model = 3\n", "[model]\nid = 'x'\n", "models = []\n", "\x00\xff", "[[model]]\n" * 2])
def test_any_text_is_survived(text: str) -> None:
    assert problems(text)
    assert ids(text) == []


def test_control_characters_never_come_out(paths: Paths) -> None:
    text = '[[model]]\nid = "evil"\nname = "a\\u001b[31mred\\u202e"\nrepo = "org/x"\n[[model]]\nid = "x\\u001b"\n'
    found = parse_rows(text, "mine.toml")
    assert found.rows[0]["name"] == "a\ufffd[31mred\ufffd"
    assert all(str(problem).isprintable() for problem in found.problems) and found.problems


def write_own(paths: Paths, text: str) -> None:
    paths.user_models_file.write_text(text, encoding="utf-8")


def test_the_users_file_adds_rows_and_changes_only_the_keys_it_gives(paths: Paths) -> None:
    before = load_catalog(paths).find("qwen3-4b")
    write_own(
        paths,
        '[[model]]\nid = "qwen3-4b"\nnote = "my favourite"\nvocab_size = 5\n'
        '[[model]]\nid = "mine"\nrepo = "~/models/mine"\nlicense = "MIT"\n'
        '[[model]]\nid = "gpt-6-luna"\n[model.api]\nprice_in = 9.5\n'
        '[licenses."House"]\ncommercial_use = "no"\n'
        '[[model]]\nid = "house"\nrepo = "org/house"\nlicense = "House"\n'
        '[[model]]\nid = "box"\nkind = "chat"\n[model.api]\nprovider = "Box"\nbase_url = "http://box:8000/v1"\n',
    )
    catalog = load_catalog(paths)
    assert catalog.problems == ()
    after = catalog.find("qwen3-4b")
    assert before and after and after.note == "my favourite" and after.shape.vocab_size == 5
    assert (after.params, after.license, after.source) == (before.params, before.license, "catalog")
    mine = catalog.find("mine")
    assert mine and mine.source == "user" and mine.repo == str(Path.home() / "models/mine")
    assert mine.commercial_use == "yes" and mine.license_url.startswith("https://")
    luna = catalog.find("gpt-6-luna")
    assert (
        luna and luna.api and luna.api.price_in == 9.5 and luna.api.price_out == 0.5 and luna.api.provider == "OpenAI"
    )
    house = catalog.find("house")
    assert house and house.commercial_use == "no"
    box = catalog.find("box")
    assert box and box.is_api and box.api and box.api.base_url == "http://box:8000/v1" and not box.unusable_because
    assert len(catalog.models) == 330


def test_a_broken_user_file_never_takes_the_shipped_rows_away(paths: Paths) -> None:
    write_own(paths, '[[model]]\nid = "mine"\nrepo = "org/mine"\n\n[[model]]\nid = "torn"\nname = "x\n')
    catalog = load_catalog(paths)
    assert len(catalog.models) == 328
    (problem,) = catalog.problems
    assert str(problem).startswith(f"{paths.user_models_file}, line 7, torn: is not TOML")
    paths.user_models_file.unlink()
    paths.user_models_file.mkdir()
    catalog = load_catalog(paths)
    assert len(catalog.models) == 327 and "directory" in catalog.problems[0].message


def test_a_broken_or_missing_shipped_file_gives_what_it_can(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = catalog_file.shipped_models_file().read_text(encoding="utf-8")
    broken = tmp_path / "models.toml"
    broken.write_text(text.replace('name = "Qwen3 4B"', 'name = "Qwen3 4B'), encoding="utf-8")
    monkeypatch.setattr(catalog_file, "shipped_models_file", lambda: broken)
    catalog = load_catalog(paths)
    assert len(catalog.models) == 326
    assert [problem.row for problem in catalog.problems] == ["qwen3-4b"]
    broken.unlink()
    catalog = load_catalog(paths)
    assert catalog.models == () and "install Heft again" in str(catalog.problems[0])


def test_a_new_row_that_leads_nowhere_is_told(paths: Paths) -> None:
    write_own(paths, '[[model]]\nid = "dream"\nparams = 5\n')
    catalog = load_catalog(paths)
    assert catalog.find("dream")
    assert "needs a repo or a [model.api] table" in str(catalog.problems[0])


def test_retirement_comes_on_its_day(paths: Paths) -> None:
    row = '[[model]]\nid = "{id}"\n[model.api]\nprovider = "x"\nbase_url = "http://x/v1"\nretired_on = "{day}"\n'
    today = date.today()
    write_own(paths, row.format(id="gone", day=today) + row.format(id="stays", day=today.replace(year=today.year + 1)))
    catalog = load_catalog(paths)
    gone, stays = catalog.find("gone"), catalog.find("stays")
    assert gone and gone.status == "retired" and gone.unusable_because == f"retired on {today}"
    assert stays and stays.status == "active" and stays.unusable_because == ""


def test_a_second_load_parses_nothing_and_says_the_same(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(paths, GOOD + '[[model]]\nid = "bad"\nflurb = 1\nrepo = "org/bad"\n')
    first = load_catalog(paths)
    monkeypatch.setattr(catalog_rows, "parse_rows", lambda *_: pytest.fail("parsed again"))
    second = load_catalog(paths)
    assert second.models == first.models and second.problems == first.problems and len(second.problems) == 1


def test_a_changed_file_is_seen_though_length_and_time_are_the_same(paths: Paths) -> None:
    import os

    write_own(paths, GOOD)
    load_catalog(paths)
    info = paths.user_models_file.stat()
    write_own(paths, GOOD.replace("params = 7", "params = 8"))
    os.utime(paths.user_models_file, ns=(info.st_atime_ns, info.st_mtime_ns))
    good = load_catalog(paths).find("good")
    assert good and good.params == 8


@pytest.mark.parametrize("damage", ["torn", "edited", "junk", "unwritable"])
def test_a_damaged_cache_is_not_believed(paths: Paths, damage: str) -> None:
    write_own(paths, GOOD)
    wanted = load_catalog(paths).models
    cache = paths.data / "cache" / "user-models.json"
    content = cache.read_bytes()
    if damage == "torn":
        cache.write_bytes(content[:-20])
    elif damage == "edited":
        cache.write_bytes(content.replace(b"org/good", b"org/evil"))
    elif damage == "junk":
        cache.write_bytes(b"\x80\x04junk\n" * 3)
    else:
        cache.unlink()
        cache.mkdir()
    assert load_catalog(paths).models == wanted
    if damage != "unwritable":
        assert cache.read_bytes() == content
    assert [item.name for item in cache.parent.iterdir() if item.name.startswith(".")] == []


def test_find_by_any_of_its_names(paths: Paths) -> None:
    catalog = load_catalog(paths)
    for ref in ("qwen3-4b", "QWEN3-4B", "Qwen/Qwen3-4B", " qwen3 4b ", "Qwen3-4B"):
        found = catalog.find(ref)
        assert found and found.id == "qwen3-4b", ref
    gpt2 = catalog.find("openai-community/gpt2")
    assert gpt2 and gpt2.id == "gpt2"
    assert catalog.find("huggyllama/llama-7b") is catalog.find("llama-1-7b")
    assert catalog.find("") is None and catalog.find("no-such") is None
    assert "qwen3-4b" in catalog.near("qwen3-5b") and catalog.near("zzzzzz") == []


def test_the_shipped_file_is_found_in_a_wheel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tui"
    (package / "catalog").mkdir(parents=True)
    monkeypatch.setattr(catalog_file, "__file__", str(package / "catalog" / "catalog_file.py"))
    assert catalog_file.shipped_models_file() == tmp_path / "models.toml"
    (package / "models.toml").touch()
    assert catalog_file.shipped_models_file() == package / "models.toml"
