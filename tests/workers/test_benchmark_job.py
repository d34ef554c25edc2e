"""Benchmark tasks of lm-evaluation-harness on the starter, as a job, from task files on this disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.compare.panels import build, order
from tests.workers.worker_job import WorkerJob
from tui.compare.benchmarks import Score, scores_of
from tui.compare.metrics import summaries
from tui.compare.trial_store import TrialStore
from tui.jobs.job import Kind, State
from tui.paths import Paths
from tui.starter import starter_folder

TASK = """
task: small_facts
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
FACTS = (
    ("GPTQ is a way to", [" paint a house", " store a model's weights in few bits"], 1),
    ("Heft is", [" a terminal workbench for models", " a kind of cheese"], 0),
)


def folder_of_tasks(folder: Path) -> Path:
    folder.mkdir()
    rows = [json.dumps({"question": asked, "choices": there, "answer": right}) for asked, there, right in FACTS]
    (folder / "facts.jsonl").write_text("\n".join(rows))
    (folder / "small_facts.yaml").write_text(TASK.format(data=folder / "facts.jsonl"))
    return folder


OPEN_TASK = """
task: small_words
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{question}}}}"
generation_kwargs:
  max_gen_toks: 4
  until: ["."]
  do_sample: false
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
KILL = """
import os, sys, runpy
from lm_eval.api.model import CacheHook
after, real, kept = int(os.environ["KILL_AFTER"]), CacheHook.add_partial, 0

def add_partial(self, attr, request, answer):
    global kept
    real(self, attr, request, answer)
    kept += 1
    with open(os.environ["ANSWERED"], "a") as book:
        print(attr, repr(request), file=book)
    if kept == after:
        self.dbdict.commit()  # waits for the writer, as a kill at a later moment would
        os.kill(os.getpid(), 9)

CacheHook.add_partial = add_partial
sys.argv = ["worker", *sys.argv[1:]]
runpy.run_module("tui.workers", run_name="__main__", alter_sys=True)
"""


def test_scores_lose_what_is_no_score() -> None:
    table = {"alias": "t", "sample_len": 7, "acc,none": 0.5, "acc_stderr,none": "N/A", "em,strict": 0.25,
             "em_stderr,strict": 0.1}  # fmt: skip
    assert scores_of({"results": {"t": table}}) == [
        Score("t", "acc", 0.5, None, 7),
        Score("t", "em (strict)", 0.25, 0.1, 7),
    ]


def test_a_killed_benchmark_asks_nothing_twice(paths: Paths, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is an optional extra")
    folder = folder_of_tasks(tmp_path / "tasks")
    asked = [json.dumps({"question": f"Heft is number {number}"}) for number in range(6)]
    (folder / "words.jsonl").write_text("\n".join(asked))
    (folder / "small_words.yaml").write_text(OPEN_TASK.format(data=folder / "words.jsonl"))
    script, book = tmp_path / "killed.py", tmp_path / "answered"
    script.write_text(KILL)
    spec = {"build": "heft-starter", "path": str(starter_folder()), "tasks": str(folder)}
    job = WorkerJob(paths, Kind.BENCHMARK, "heft-starter", spec)
    try:
        assert job.start((str(script),), ANSWERED=str(book), KILL_AFTER="7").wait(200) == -9, job.log[-3000:]
        before = book.read_text().splitlines()
        job.again()
        assert job.start((str(script),), ANSWERED=str(book), KILL_AFTER="0").wait(200) == 0, job.log[-3000:]
        rows = book.read_text().splitlines()
        done = job.job
        assert done.state is State.DONE, job.log[-3000:]
        assert len(before) == 7 and len(rows) == len(set(rows)) == 10, rows
        scores = {score["task"]: (score["value"], score["samples"]) for score in done.result["scores"]}
        assert scores["small_facts"] == (1.0, 2) and scores["small_words"][1] == 6
    finally:
        job.close()


def test_a_benchmark_is_a_job_and_stands_in_the_table_of_a_trial(paths: Paths, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is an optional extra")
    spec = {"build": "heft-starter", "path": str(starter_folder()), "tasks": str(folder_of_tasks(tmp_path / "tasks"))}
    job = WorkerJob(paths, Kind.BENCHMARK, "heft-starter", spec)
    try:
        done = job.run()
        assert done.state is State.DONE, job.log[-3000:]
        score = done.result["scores"][0]
        assert (score["task"], score["metric"], score["samples"]) == ("small_facts", "acc", 2)
        assert score["value"] == 1.0, "the starter knows these"
        assert list(done.folder.glob("answers*")), "answers are kept, so that a killed run goes on"
        assert done.progress.done == done.progress.total == 4
    finally:
        job.close()
    store = TrialStore(paths.trials)
    trial = store.start(order(build("heft-starter"), build("other")), "t")
    kept = {"heft-starter": {one.label: one.value for one in store.scores("heft-starter")}}
    first, second = summaries(trial, [], kept)
    assert first.scores == {"small_facts acc": 1.0} and second.scores == {}
    store.close()
