"""The whole job on a fresh machine without a network: pull, quantize, load and chat, through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compare.panels import dying, talker
from tests.compare.tiny_gpt2 import tiny_gpt2
from tests.heft import Heft
from tui.compare.trial import Attempt
from tui.compare.trial_store import TrialStore

pytestmark = pytest.mark.slow
BUILD = "heft-starter-gptq-4bit-g128"


@pytest.fixture(scope="module")
def heft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heft]:
    machine = Heft(tmp_path_factory.mktemp("fresh") / "home")
    yield machine
    machine.end_everything()


@pytest.fixture(scope="module")
def quantized(heft: Heft) -> dict[str, object]:
    """The 4-bit build, asked for in one command on an empty machine."""
    job = heft.json("quantize", "heft-starter", "--samples", "32", "--sample-length", "256")
    assert job["kind"] == "quantize" and job["state"] == "done", job
    return next(build for build in heft.json("builds") if build["id"] == BUILD)


def test_the_catalog_lists_the_starter_first(heft: Heft) -> None:
    models = heft.json("models")
    assert models[0]["id"] == "heft-starter"
    assert len(models) > 300


def test_quantize_downloads_first_and_says_what_it_cost(heft: Heft, quantized: dict[str, object]) -> None:
    jobs = {job["kind"]: job for job in heft.json("jobs")}
    assert jobs["download"]["state"] == jobs["quantize"]["state"] == "done"
    assert jobs["quantize"]["after"] == [jobs["download"]["id"]]
    quality = quantized["quality"]
    assert isinstance(quality, dict)
    assert quality["perplexity_after"] / quality["perplexity_before"] < 1.05
    original = next(build for build in heft.json("builds") if build["id"] == "heft-starter")
    assert quantized["bytes"] < original["bytes"]
    assert quantized["recipe"]["bits"] == 4  # type: ignore[index]


def test_the_build_is_an_ordinary_gptq_checkpoint(heft: Heft, quantized: dict[str, object]) -> None:
    folder = Path(str(quantized["path"]))
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "gptq"
    assert not config["quantization_config"].get("dataset"), "calibration text leaked into config.json"
    assert (folder / "heft.json").is_file()
    code = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
        "kinds = {type(m).__name__ for m in model.modules()}\n"
        "chat = [{'role': 'user', 'content': 'What is GPTQ?'}]\n"
        "ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "out = model.generate(**ids, max_new_tokens=60, do_sample=False)\n"
        "print('KINDS', sorted(kinds))\n"
        "print('TEXT', tokenizer.decode(out[0][ids['input_ids'].shape[1]:], skip_special_tokens=True))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        cwd=heft.home,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = next(line for line in done.stdout.splitlines() if line.startswith("TEXT"))
    assert len(text.split()) > 5, done.stdout[-1000:]
    assert "Linear" in next(line for line in done.stdout.splitlines() if line.startswith("KINDS")).replace(
        "'Linear'", ""
    )


def test_chat_loads_the_build_and_answers(heft: Heft, quantized: dict[str, object]) -> None:
    answer = heft.json("chat", BUILD, "What is GPTQ?", "--temperature", "0", "--max-tokens", "80")
    assert len(answer["text"].split()) > 5
    assert answer["finish_reason"] in ("stop", "length")
    assert answer["usage"]["completion_tokens"] > 5
    assert answer["time_to_first_token"] > 0
    assert answer["tokens_per_second"] > 0
    again = heft.json("chat", BUILD, "What is GPTQ?", "--temperature", "0", "--max-tokens", "80")
    assert again["text"] == answer["text"]


def test_the_build_is_exported_bit_for_bit_and_answers_as_gguf(heft: Heft, quantized: dict[str, object]) -> None:
    job = heft.json("export", BUILD, "--to", "gguf", "--name", "starter-gguf")
    assert job["kind"] == "export" and job["state"] == "done"
    assert (job["result"]["type"], job["result"]["exact"], job["result"]["max_difference"]) == ("Q4_0", True, 0.0)
    made = next(build for build in heft.json("builds") if build["id"] == "starter-gguf")
    assert made["precision"] == "gguf-q4_0" and made["problem"] == ""
    assert made["quality"] == quantized["quality"], "the weights are the same"
    host = heft.json("serve", "starter-gguf")
    assert host["result"]["engine"] == "llama.cpp" and host["result"]["dtype"] == "Q4_0"
    answer = heft.json("chat", "starter-gguf", "What is GPTQ?", "--temperature", "0", "--max-tokens", "40")
    assert "GPTQ" in answer["text"]
    heft.json("jobs", "cancel", str(host["id"]))
    refused = heft("export", "starter-gguf")
    assert refused.code == 1 and "GGUF build already" in refused.err


def test_text_chat_streams_plain_text_to_stdout(heft: Heft, quantized: dict[str, object]) -> None:
    ended = heft("chat", BUILD, "-", "--temperature", "0", stdin="What is Heft?")
    assert ended.code == 0, ended.err
    assert len(ended.out.split()) > 3
    assert "\x1b" not in ended.out


def test_cancelling_the_host_unloads_it(heft: Heft, quantized: dict[str, object]) -> None:
    heft.json("chat", BUILD, "Hello", "--max-tokens", "3")
    host = next(job for job in heft.json("jobs") if job["kind"] == "serve" and job["state"] == "ready")
    pid, socket = host["result"]["pid"], Path(host["result"]["socket"])
    assert socket.exists()
    assert socket.parent.stat().st_mode & 0o077 == 0
    assert heft.json("jobs", "cancel", str(host["id"]))["state"] == "cancelled"
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not socket.exists()


def test_a_trial_of_three_local_models_and_three_endpoints_survives_a_kill(
    heft: Heft, quantized: dict[str, object]
) -> None:
    """Two precisions of the starter, a second architecture, and endpoints that are slow, limit their rate, or die."""
    second = tiny_gpt2(heft.home / "data" / "builds" / "tiny-gpt2")
    results = "[{dataset: {name: MMLU}, metrics: [{type: acc, value: 0.25}]}]"
    (second / "README.md").write_text(f"---\nmodel-index: [{{name: tiny, results: {results}}}]\n---\n# Tiny\n")
    local = ("heft-starter", BUILD, "tiny-gpt2")
    prompts = heft.home.parent / "set.jsonl"
    prompts.write_text('{"prompt": "What is GPTQ?", "expected": "a way"}\n{"prompt": "What is Heft?"}\n')
    with talker(words=40, prompt=11, pause=0.25) as slow, talker(words=9, limited=True) as limited, dying() as dies:
        books = {"slow": slow, "limited": limited, "dies": dies}
        table = "".join(
            f'[endpoints.{name}]\nbase_url = "{book.url}"\nmodel = "m"\n[prices.{name}]\ninput = 3.0\noutput = 15.0\n'
            for name, book in books.items()
        )
        (heft.home / "config" / "config.toml").write_text(table)
        names = [word for name in (*local, *books) for word in ("-m", name)]
        words = ("--prompts", str(prompts), "--max-tokens", "40", "--max-cost", "1", "--detach")
        begun = heft.json("compare", *words, *names)
        assert [entry["wave"] for entry in begun["plan"]["contestants"]] == [1, 1, 1, 0, 0, 0]
        store = TrialStore(heft.home / "data" / "trials.db")
        trial = begun["id"]

        def attempts() -> list[Attempt]:
            return store.attempts(trial)

        wait_for(lambda: any(item.is_answer and item.place.contestant < 3 for item in attempts()), "a local answer")
        done = {item.id: item for item in attempts() if item.is_answer}
        folder = next((heft.home / "state").iterdir()) / "jobs" / str(begun["job"])
        os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
        assert heft("jobs", "wait", str(begun["job"])).code == 1
    shown = heft.json("trials", "show", str(trial))
    assert shown["state"] == "failed" and shown["answered"] == 10 and shown["wanted"] == 12
    lines = {item["name"]: item for item in shown["contestants"]}
    assert lines["dies"]["failed"] == 2 and "middle of the answer" in lines["dies"]["problem"]
    now = {item.id: item for item in attempts()}
    assert all(now[number].text == item.text for number, item in done.items()), "an answer was touched"
    answers = [item for item in now.values() if item.is_answer]
    assert len({item.place for item in answers}) == len(answers) == 10, "something was asked twice"
    for name, prompt, words_said in (("slow", 11, 40), ("limited", 13, 9)):
        kept = [item for item in answers if item.place.contestant == (*local, *books).index(name)]
        assert [(item.prompt_tokens, item.completion_tokens) for item in kept] == [(prompt, words_said)] * 2
        assert sum(item.cost or 0 for item in kept) == 2 * (prompt * 3_000 + words_said * 15_000)
    assert shown["cost"] == sum(item.cost or 0 for item in now.values()) / 1e9
    for name in local:
        assert lines[name]["load_seconds"] > 0 and lines[name]["peak_memory"] > 50_000_000
        assert lines[name]["completion_tokens"] > 2 and lines[name]["cost"] == 0
    four = [item for item in shown["answers"] if item["contestant"] == BUILD and item["state"] == "done"]
    assert all(item["quality"]["divergence"]["against"] == "heft-starter" for item in four)
    facts = shown["circumstances"][str(four[0]["circumstances"])]
    assert facts["recipe"]["bits"] == 4 and facts["device"] == "cpu" and len(facts["template_sha256"]) == 64
    assert {"heft", "torch", "transformers"} <= set(facts["versions"]) and facts["parameters"]["seed"] == 0
    (published,) = shown["published"]["tiny-gpt2"]
    assert (published["dataset"], published["metric"], published["value"]) == ("MMLU", "acc", "0.25")
    hosts = [job for job in heft.json("jobs") if job["kind"] == "serve" and job["state"] in ("ready", "running")]
    assert hosts == [], "a host of the trial is still loaded"
    store.close()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_quantizing_again_is_refused_and_nothing_is_lost(heft: Heft, quantized: dict[str, object]) -> None:
    ended = heft("quantize", "heft-starter", "--json")
    assert ended.code == 1
    assert "already here" in ended.err
    ended = heft("quantize", BUILD, "--json")
    assert ended.code == 1
    assert "already quantized" in ended.err
    assert Path(str(quantized["path"])).is_dir()


def test_a_build_can_be_removed_when_nothing_uses_it(heft: Heft, quantized: dict[str, object]) -> None:
    job = heft.json("serve", "heft-starter")
    assert job["state"] == "ready"
    ended = heft("rm", "heft-starter", "--json")
    assert ended.code == 1 and f"job {job['id']}" in ended.err
    heft.json("jobs", "cancel", str(job["id"]))
    heft.json("rm", "heft-starter")
    assert "heft-starter" not in {build["id"] for build in heft.json("builds")}
    heft.json("rm", "--undo", "heft-starter")
    assert "heft-starter" in {build["id"] for build in heft.json("builds")}
