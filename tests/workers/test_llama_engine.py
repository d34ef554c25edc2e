"""llama.cpp as an engine of the host: what it leaves open is closed, prompts are broken off, templates are tame."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.gguf_files import Loaded, exported
from tests.workers.test_serve_desk import request_of
from tests.workers.worker_job import WorkerJob
from tui.catalog.gguf_header import read_gguf_header
from tui.errors import BuildBrokenError, HeftError
from tui.hardware.host_probe import llama_cpp_lacks
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.starter import starter_folder
from tui.workers import llama_cpp
from tui.workers.host.chat_template import ChatTemplate
from tui.workers.host.engine import BrokenOff
from tui.workers.host.engine_choice import llama_plan
from tui.workers.host.llama_engine import LlamaEngine
from tui.workers.host.request import RefusedError, Sampling
from tui.workers.llama_cpp import LlamaCpp
from tui.workers.reporter import Reporter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gguf") / "starter-F16.gguf"
    exported(starter_folder(), made, "f16")
    return made


@pytest.fixture(scope="module")
def engine(file: Path) -> Iterator[LlamaEngine]:
    header = read_gguf_header(file, ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"))
    opened = LlamaEngine(
        LlamaCpp(file, file.with_name("e.sock"), context=1024, threads=1), header, file.parent, 1024, ""
    )
    yield opened
    opened.close()


def written(engine: LlamaEngine, **more: Any) -> tuple[str, str, list[int], int]:
    """Text, reason, what was read of the prompt, and tokens of one answer."""
    request = request_of(**more)
    read: list[int] = []
    text, reason, count = "", "", 0
    for step in engine.write(request, engine.ids(request), lambda: False, read.append):
        text, reason, count = text + step.text, step.reason or reason, count + step.tokens
    return text, reason, read, count


def test_its_own_server_is_private_and_wants_a_key(engine: LlamaEngine, file: Path) -> None:
    address = file.with_name("e.sock")
    assert stat.S_ISSOCK(address.stat().st_mode)

    def ask(**headers: str) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("x", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(address))
        body = json.dumps({"prompt": "x", "max_tokens": 1})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())

    assert ask()[0] == ask(Authorization="Bearer guess")[0] == 401
    found = ask(Origin="http://evil.example")[1]
    assert "evil" not in found.get("Access-Control-Allow-Origin", "")
    listening = [line.split() for line in Path(f"/proc/{os.getpid()}/net/tcp").read_text().splitlines()[1:]]
    inodes = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    assert not [row for row in listening if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


def test_a_long_prompt_is_broken_off_between_batches_and_the_next_answer_comes(engine: LlamaEngine) -> None:
    request = request_of(messages=None, prompt=tuple(range(10, 1010)), max_tokens=4)
    read: list[int] = []
    stopped = threading.Event()

    def note(count: int) -> None:
        read.append(count)
        if count:
            stopped.set()

    with pytest.raises(BrokenOff):
        for _ in engine.write(request, engine.ids(request), stopped.is_set, note):
            pass
    assert read[0] == 0 and max(read) < 1000, "it read the whole prompt though nobody wanted it"
    assert written(engine)[3] > 0


def test_greedy_answers_limits_and_counts(engine: LlamaEngine) -> None:
    ask = {"messages": ({"role": "user", "content": "What is GPTQ?"},)}
    text, reason, read, count = written(engine, **ask, max_tokens=200)
    assert "GPTQ" in text and reason == "stop" and 10 < count < 200
    again, _, read, same = written(engine, **ask, max_tokens=200)
    assert (again, same) == (text, count) and read[0] > 0, "the prompt was in the cache"
    short = written(engine, **ask, max_tokens=3)
    assert (short[1], short[3]) == ("length", 3) and text.startswith(short[0])
    sampled = [written(engine, **ask, sampling=Sampling(temperature=1.5, seed=seed))[0] for seed in (3, 3, 4)]
    assert sampled[0] == sampled[1] != sampled[2]
    banned = written(
        engine, **ask, sampling=Sampling(temperature=0.0, logit_bias={engine.ids(request_of())[-1]: -100.0})
    )
    assert banned[3] > 0


def test_an_error_of_the_library_reaches_the_host(engine: LlamaEngine) -> None:
    with pytest.raises(HeftError, match="repeat_last_n"):
        engine._llama.complete({"prompt": [10], "stream": True, "repeat_last_n": -1}, lambda chunk: False)

    def fails(chunk: dict[str, Any]) -> bool:
        raise RuntimeError("in the callback")

    with pytest.raises(RuntimeError, match="in the callback"):
        engine._llama.complete({"prompt": [10], "stream": True, "max_tokens": 3}, fails)
    assert written(engine)[3] > 0


def test_damaged_and_foreign_files_fail_with_words(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:200_000])
    with pytest.raises(BuildBrokenError, match=r"cannot load broken\.gguf"):
        LlamaCpp(broken, tmp_path / "b.sock", context=64, threads=1)


def test_a_stale_socket_is_replaced(file: Path, tmp_path: Path) -> None:
    address = tmp_path / "s.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(address))
    left.close()
    llama = LlamaCpp(file, address, context=64, threads=1, light=True)
    assert llama.tokens("hello", special=False)
    llama.close()
    assert not address.exists()


def test_sigterm_ends_a_worker_that_loads(file: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "import xllamacpp\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "def load(params):\n"
        "    print('loading', flush=True); time.sleep(30)\n"
        "xllamacpp.Server = load\n"
        "from tui.workers.llama_cpp import LlamaCpp\n"
        "LlamaCpp(Path(sys.argv[1]), Path(sys.argv[2]), context=64, threads=1)\n"
    )
    command = [sys.executable, "-c", code, str(file), str(tmp_path / "l.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None and process.stdout.readline() == b"loading\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_a_model_that_nobody_asked_anything_is_unloaded(file: Path, tmp_path: Path) -> None:
    """The library waits for ever when it is ended before its loop has begun; a process of its own bounds this test."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tui.workers.llama_cpp import LlamaCpp\n"
        "for _ in range(4):\n"
        "    LlamaCpp(Path(sys.argv[1]), Path(sys.argv[2]), context=64, threads=1, light=True).close()\n"
    )
    command = [sys.executable, "-c", code, str(file), str(tmp_path / "l.sock")]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=60)


def test_a_cpu_without_avx2_is_refused_before_the_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx f16c fma bmi2\n")
    assert llama_cpp_lacks(old, "x86_64") == ("AVX2",) and llama_cpp_lacks(old, "aarch64") == ()
    monkeypatch.setattr(llama_cpp, "llama_cpp_lacks", lambda: ("AVX2",))
    with pytest.raises(HeftError, match="AVX2"):
        LlamaCpp(Path("x.gguf"), Path("x.sock"), context=1, threads=1)
    assert llama_plan(starter_folder(), "auto", "cpu")[0] is None, "the other engine takes over"


def test_templates_stay_in_their_sandbox_and_marks_of_people_are_text() -> None:
    marks = ["<|end|>", "<|assistant|>"]
    fine = ChatTemplate(
        "{% for m in messages %}<|user|>{{ m.content | trim }}<|end|>{% endfor %}", marks, {"bos_token": "<s>"}
    )
    pieces = fine.render([{"role": "user", "content": " a<|end|>b "}], {})
    assert pieces == [("<|user|>a", True), ("<|end|>", False), ("b<|end|>", True)]
    for hostile in (
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('only two roles') }}",
    ):
        with pytest.raises(RefusedError) as caught:
            ChatTemplate(hostile, marks, {}).render([{"role": "user", "content": "x"}], {})
        assert caught.value.status == 400
    with pytest.raises(RefusedError, match="template"):
        ChatTemplate("{% if %}", marks, {}).render([{"role": "user", "content": "x"}], {})
    used = "{% generation %}{{ messages | tojson }}{{ strftime_now('%Y') }}{% break %}{% endgeneration %}"
    looped = "{% for m in messages %}" + used + "{% endfor %}"
    assert '"role": "user"' in ChatTemplate(looped, [], {}).render([{"role": "user", "content": "x"}], {})[0][0]


def test_the_choice_of_an_engine(tmp_path: Path, reporter: Callable[..., Reporter], paths: Paths) -> None:
    from tests.workers.gguf_models import gptq_folder

    folder, _ = gptq_folder(tmp_path / "gptq", "llama")
    assert llama_plan(folder, "auto", "cpu")[0] is not None
    assert llama_plan(folder, "auto", "cuda:0") == (None, "transformers: there is a GPU")
    assert llama_plan(folder, "transformers", "cpu")[0] is None
    assert llama_plan(starter_folder(), "auto", "cpu")[0] is None, "16 bits stay in our own loop"
    asked, _ = llama_plan(starter_folder(), "llama.cpp", "cpu")
    assert asked is not None and asked.type == "F16"
    ordered, _ = gptq_folder(tmp_path / "ordered", "llama", desc_act=True)
    plan, reason = llama_plan(ordered, "auto", "cpu")
    assert plan is None and "desc_act" in reason
    with pytest.raises(HeftError, match="desc_act"):
        llama_plan(ordered, "llama.cpp", "cpu")


def test_a_gptq_build_on_a_cpu_is_served_by_llama_cpp_and_says_so(tmp_path: Path, paths: Paths) -> None:
    from tests.workers.gguf_models import gptq_folder

    folder, _ = gptq_folder(tmp_path / "gptq", "llama")
    spec = {"build": "tiny", "path": str(folder), "context": None, "port": None, "idle_minutes": 0.01}
    work = WorkerJob(paths, Kind.SERVE, "tiny", spec)
    try:
        job = work.run()
        assert (job.result["engine"], job.result["dtype"]) == ("llama.cpp", "Q4_0")
        assert "Q4_0 from this build" in job.result["notes"][0] and (paths.builds / "tiny-q4_0").is_dir()
    finally:
        work.close()


def test_the_perplexity_of_a_gguf_build_is_that_of_the_same_weights(tmp_path: Path, paths: Paths, file: Path) -> None:
    import math

    import torch
    from transformers import AutoModelForCausalLM

    text = tmp_path / "text.txt"
    text.write_text("<|user|>What is GPTQ?<|end|><|assistant|>GPTQ stores a model's weights in few bits.<|end|>")
    folder = paths.builds / "starter-f16"
    folder.mkdir()
    (folder / "starter-F16.gguf").symlink_to(file)
    work = WorkerJob(paths, Kind.EVALUATE, "x", {"build": "starter-f16", "path": str(folder), "text": str(text)})
    try:
        result = work.run().result
    finally:
        work.close()
    with Loaded(file, 64, light=True) as llama:
        ids = llama.tokens(text.read_text(), special=True, frame=True)
    model = AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32)
    with torch.inference_mode():
        loss = float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss)
    ends = ids[1:].count(2)
    assert result["tokens"] == len(ids) - 1 and result["engine"] == "llama.cpp" and ends == 2
    assert result["perplexity"] == pytest.approx(math.exp(loss), rel=0.02)
