"""What other programs rely on: fields, exit codes, JSON alone on stdout, and clear words for bad input."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.heft import Heft

MODEL = {
    "id",
    "name",
    "repo",
    "params",
    "context_length",
    "license",
    "commercial_use",
    "gated",
    "kind",
    "status",
    "source",
}
JOB = {"id", "kind", "state", "model", "progress", "waiting_because", "failure", "created", "started", "ended"}
BUILD = {"id", "path", "model", "revision", "precision", "bytes", "recipe", "quality"}
FIT = {"weights", "kv_cache", "overhead", "total", "free", "capacity", "verdict", "reason"}


@pytest.fixture
def heft(tmp_path: Path) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home")
    yield machine
    machine.end_everything()


def test_empty_lists_are_empty_lists(heft: Heft) -> None:
    assert heft.json("jobs") == []
    assert heft.json("builds") == []
    assert "heft pull heft-starter" in heft("builds").err


def test_models_have_their_fields_and_filters_hold(heft: Heft) -> None:
    models = heft.json("models", "llama", "--open", "--max-params", "8B", "--limit", "5")
    assert 0 < len(models) <= 5
    for model in models:
        assert set(model) >= MODEL
        assert model["params"] <= 8_000_000_000
        assert model["open"]
    assert all(
        model["commercial_use"] in ("yes", "conditional")
        for model in heft.json("models", "--commercial", "--limit", "20")
    )
    assert all(model["provider"] for model in heft.json("models", "--api", "--limit", "10"))
    names = [model["params"] or 0 for model in heft.json("models", "--sort", "params", "--open", "--limit", "50")]
    assert names == sorted(names, reverse=True) or names == sorted(names)


def test_show_and_fit_have_their_fields(heft: Heft) -> None:
    shown = heft.json("show", "heft-starter")
    assert set(shown) >= MODEL | {"card", "fits", "sizes", "builds"}
    assert "Heft" in shown["card"]["text"]
    answer = heft.json("fit", "llama-2-7b", "--context", "2048", "--precision", "float16", "--memory", "24GB")
    assert set(answer) >= FIT
    assert answer["verdict"] == "fits"
    assert answer["total"] == answer["weights"] + answer["kv_cache"] + answer["overhead"]
    assert sum(answer["parts"].values()) == answer["total"] and answer["devices"] == []
    assert [rung["verdict"] for rung in answer["contexts"]] == ["fits"] * len(answer["contexts"]) != []
    here = heft.json("fit", "qwen3-0.6b")
    assert here["devices"][-1]["device"] == "RAM" and here["quantize"]["terms"] and here["quantize"]["disk"]
    for name in ("needs", "contexts", "files", "dataset", "note", "facts_source"):
        assert name in shown
    assert any(file["downloaded"] for file in shown["files"])
    refused = heft.json("fit", "llama-2-70b", "--precision", "float16", "--memory", "24GB", code=5)
    assert refused["verdict"] == "does-not-fit" and refused["total"] > 24_000_000_000


def test_hardware_tells_rates_and_everything_of_the_pane(heft: Heft) -> None:
    seen = heft.json("hardware")
    assert seen["host"]["cpu_percent"] > 0 and seen["host"]["memory_total"] > seen["host"]["memory_available"] > 0
    assert {"swap_used", "network_received_rate", "network_sent_rate"} <= set(seen["host"])
    assert {disk["label"] for disk in seen["disks"]} >= {"builds", "downloads"}
    assert seen["gpus"] or seen["gpu_note"]
    assert heft.json("models", "--installed") == []
    assert not any(row["gated"] for row in heft.json("models", "llama", "--ungated", "--limit", "5"))
    priced = heft.json("models", "--api", "--sort", "price", "--limit", "3")
    assert all(row["price_in"] is not None and row["price_date"] for row in priced)


def test_a_detached_pull_prints_its_job_and_the_queue_finishes_it(heft: Heft) -> None:
    job = heft.json("pull", "heft-starter", "--detach")
    assert set(job) >= JOB
    assert set(job["progress"]) >= {"done", "total", "unit", "rate", "eta"}
    again = heft.json("pull", "heft-starter", "--detach")
    assert again["id"] == job["id"] or again["state"] == "queued"
    assert heft.json("jobs", "wait", str(job["id"]))["state"] == "done"
    build = heft.json("builds")[0]
    assert set(build) >= BUILD
    assert build["id"] == "heft-starter" and not build["problem"]
    assert heft("jobs", "logs", str(job["id"])).code == 0
    assert heft.json("jobs", "show", str(job["id"]))["history"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "no-such-model"), 3),
        (("chat", "no-such-build", "hi"), 3),
        (("jobs", "show", "999"), 3),
        (("rm", "no-such-build"), 3),
        (("fit", "no-such-model"), 3),
        (("fit", "gpt2", "--memory", "a lot"), 2),
        (("quantize", "gpt2", "--bits", "5"), 2),
        (("no-such-command",), 2),
        (("pull", "gpt-4"), 3),
        (("quantize", "heft-starter", "--calibration", "/no/such/file"), 3),
    ],
)
def test_exit_codes_of_bad_requests(heft: Heft, words: tuple[str, ...], code: int) -> None:
    ended = heft(*words, "--json")
    assert ended.code == code, ended.err
    assert ended.err.strip()
    assert "Traceback" not in ended.err
    for line in ended.out.splitlines():
        json.loads(line)
    assert heft.json("jobs") == []


def test_a_hub_where_nothing_listens_is_said_at_once(heft: Heft) -> None:
    started = time.monotonic()
    ended = heft("pull", "someone/some-model", "--json")
    assert ended.code == 1
    assert time.monotonic() - started < 15
    assert "127.0.0.1:9" in ended.err or "hub" in ended.err
    assert heft.json("jobs") == []


def test_a_silent_hub_never_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = threading.Thread(target=_accept_and_wait, args=(server,), daemon=True)
        silent.start()
        heft = Heft(tmp_path / "home", HF_ENDPOINT=f"http://127.0.0.1:{server.getsockname()[1]}")
        for words in (("pull", "someone/some-model"), ("models", "--hub", "llama")):
            started = time.monotonic()
            ended = heft(*words, "--json", seconds=30)
            assert ended.code == 1
            assert time.monotonic() - started < 16, words
            assert "did not answer" in ended.err or "no answer" in ended.err or "silent" in ended.err, ended.err


def _accept_and_wait(server: socket.socket) -> None:
    kept = []
    try:
        while True:
            kept.append(server.accept())
    except OSError:
        return


def test_a_broken_models_file_names_row_and_key_and_the_rest_loads(heft: Heft) -> None:
    config = heft.home / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(
        '[[model]]\nid = "mine"\nname = "Mine"\nrepo = "me/mine"\nparams = "many"\n\n[[model]]\nid = "other"\n'
        'name = "Other"\nrepo = "me/other"\nkind = "chat"\n'
    )
    ended = heft("models", "--json")
    assert ended.code == 0
    assert "mine" in ended.err and "params" in ended.err
    ids = {model["id"] for model in ended.document}
    assert {"heft-starter", "other"} <= ids
    checks = heft.json("doctor", "--quick", code=1)
    assert any("params" in check["summary"] for check in checks if check["name"] == "catalog")


def test_a_build_with_a_missing_shard_is_refused_by_name(heft: Heft) -> None:
    heft.json("pull", "heft-starter")
    folder = Path(heft.json("builds")[0]["path"])
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    build = heft.json("builds")[0]
    assert "model.safetensors" in build["problem"]
    for words in (("serve", "heft-starter"), ("chat", "heft-starter", "hi"), ("evaluate", "heft-starter")):
        ended = heft(*words, "--json")
        assert ended.code == 1 and "model.safetensors" in ended.err, ended.err
    header = struct.pack("<Q", 2) + b"{}"
    weights.write_bytes(header)
    assert heft.json("builds")[0]["problem"]


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(heft: Heft) -> None:
    folder = heft.home.parent / "giant"
    folder.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 16384,
        "intermediate_size": 65536,
        "num_hidden_layers": 200,
        "num_attention_heads": 128,
        "num_key_value_heads": 16,
        "vocab_size": 128256,
        "torch_dtype": "bfloat16",
        "max_position_embeddings": 8192,
    }
    (folder / "config.json").write_text(json.dumps(config))
    size = 2_000_000_000_000
    header = json.dumps({"w": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        try:
            file.truncate(8 + len(header) + size)
        except OSError:
            pytest.skip("this file system cannot hold a sparse file of 2 TB")
    ended = heft("serve", str(folder), "--json")
    assert ended.code == 5, ended.err
    assert "TB" in ended.err
    ended = heft("pull", str(folder), "--json")
    assert ended.code == 5 and "disk" in ended.err
    assert heft.json("jobs") == []


def test_json_is_alone_on_stdout(heft: Heft) -> None:
    ended = heft("pull", "heft-starter", "--json")
    assert ended.code == 0
    assert ended.documents[-1]["state"] == "done"
    assert {document["kind"] for document in ended.documents} == {"download"}


def test_doctor_finds_a_half_broken_install(heft: Heft, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "optimum").mkdir(parents=True)
    (broken / "optimum" / "__init__.py").write_text(
        "raise ImportError('libsomething.so.1: cannot open shared object')\n"
    )
    heft.environment["PYTHONPATH"] = f"{broken}:{heft.environment['PYTHONPATH']}"
    checks = heft.json("doctor", code=1)
    found = {check["name"]: check for check in checks}
    assert "libsomething" in found["import optimum"]["summary"]
    assert found["import optimum"]["hint"]
    assert found["python"]["state"] == "ok"


def test_doctor_outlives_a_damaged_database(heft: Heft) -> None:
    heft.json("jobs")
    for database in heft.home.rglob("jobs.db*"):
        database.unlink()
    next(heft.home.glob("state/*")).joinpath("jobs.db").write_bytes(b"this is no database" * 100)
    ended = heft("doctor", "--quick", "--json")
    assert ended.code in (0, 1)
    assert any(check["name"] == "queue" for check in ended.document)
