"""``heft compare`` and its relatives, as a person types them: endpoints only, so that nothing heavy is loaded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compare.panels import talker
from tests.heft import Heft


@pytest.fixture
def heft(tmp_path: Path) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home")
    yield machine
    machine.end_everything()


def test_compare_replay_export_and_board(heft: Heft, tmp_path: Path) -> None:
    prompts = tmp_path / "set.jsonl"
    prompts.write_text('{"prompt": "alpha", "expected": "w0 w1 alpha"}\n{"prompt": "beta", "contains": ["zzz"]}\n')
    config = heft.home / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    with talker(words=3) as one, talker(words=4) as two:
        table = "".join(
            f'[endpoints.{name}]\nbase_url = "{url}"\n' for name, url in (("one", one.url), ("two", two.url))
        )
        config.write_text(table + '[prices.one]\ninput = 1000\noutput = 2000\ndate = "2026-11-26"\n')
        words = ("compare", "--prompts", str(prompts), "-m", "one:tiny", "-m", "two:tiny", "--seed", "3")
        plan = heft.json(*words, "--plan")["plan"]
        assert [entry["requests"] for entry in plan["contestants"]] == [2, 2] and plan["waves"] == []
        assert one.asked.total() == 0, "a plan asks nobody"
        made = heft.json(*words)
        assert made["state"] == "done" and made["answered"] == made["wanted"] == 4
        assert made["parameters"] == {"temperature": 0.0, "max_tokens": 512, "seed": 3}
        first, second = made["contestants"]
        assert first["name"] == "one:tiny" and first["completion_tokens"] == 6 and second["completion_tokens"] == 8
        assert (first["scores"]["exact"], second["scores"]["exact"]) == (1.0, 0.0)
        assert first["cost"] == 0.038 and second["cost"] == 0
        assert first["scores"]["contains"] == 0.5 and first["first"]["count"] == 2
        assert made["published"] == {"one:tiny": [], "two:tiny": []}
        assert one.bodies[0]["seed"] == 3 and one.bodies[0]["model"] == "tiny"
        again = heft.json("replay", str(made["id"]))
        assert again["replay_of"] == made["id"] and again["difference"]["same"] == 4
        assert again["difference"]["changed"] == 0 and one.asked.total() == 4
    listed = heft.json("trials", "--search", "BETA")
    assert [item["id"] for item in listed] == [again["id"], made["id"]] and listed[0]["state"] == "done"
    target = tmp_path / "out.csv"
    heft.json("trials", "export", str(made["id"]), "--format", "csv", "-o", str(target))
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert len(rows) == 4 and json.loads(rows[0]["circumstances"])["parameters"]["seed"] == 3
    page = heft("trials", "export", str(made["id"])).out
    assert page.startswith("# Trial") and "| one:tiny |" in page
    cast = heft("vote", str(made["id"]), "--json", stdin="z\na\ns\n")
    assert len(cast.documents) == 1 and cast.documents[0]["outcome"] in ("one", "other")
    seen = cast.err.partition("A was")[0]
    assert "w0 w1" in seen and "one:tiny" not in seen, "a name shows before the vote"
    shown = heft("trials", "show", str(made["id"]))
    assert "CONTESTANT" in shown.out and "w0 w1 alpha" in shown.out
    public = tmp_path / "public.csv"
    public.write_text("model,score\nx,10\n")
    assert heft.json("board", "--import", str(public), "--dated", "2026-10")["dated"] == "2026-10"
    board = heft.json("board")
    assert [rank["votes"] for rank in board["ranks"]] == [1, 1] and board["imported"][0]["rows"][0]["model"] == "x"
    assert heft.json("trials", "rm", str(made["id"])) == {"removed": made["id"]}
    heft.json("trials", "show", str(made["id"]), code=3)


def test_what_makes_no_request_is_refused_with_the_reason(heft: Heft) -> None:
    assert "two to eight" in heft("compare", "--help").out
    alone = heft("compare", "hello", "-m", "http://127.0.0.1:9/v1", "--json")
    assert alone.code == 2 and "2 to 8" in alone.document["error"]["summary"]
    nothing = heft("compare", "-m", "http://127.0.0.1:9/v1", "--json")
    assert nothing.code == 2 and "no prompt" in nothing.document["error"]["summary"]
    missing = heft("compare", "hi", "-m", "qwen3-0.6b", "-m", "nobody-of-this-name", "--json")
    assert missing.code == 3 and "heft pull qwen3-0.6b" in missing.document["error"]["hint"]
    assert heft("replay", "99", "--json").code == 3
    keyless = ("compare", "hi", "-m", "http://127.0.0.1:9/v1", "-m", "claude-haiku-5-5")
    plan = heft.json(*keyless, "--plan")["plan"]
    assert "ANTHROPIC_API_KEY" in plan["contestants"][1]["problem"] and plan["contestants"][1]["most"] > 0
    assert heft(*keyless, "--json").code == 4
