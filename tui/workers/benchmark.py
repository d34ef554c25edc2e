"""Benchmark: tasks of lm-evaluation-harness on a build, from task files on this disk. Works without a network.

The harness is an optional extra. Every answer is kept in the job's folder as it comes, so a killed run goes on where it
was. A task file may name Python functions, which then run: give only task files that you trust.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tui.catalog.build_folder import folder_problem
from tui.compare.benchmarks import scores_of
from tui.compare.trial_store import TrialStore
from tui.errors import BuildBrokenError, NotFoundError, RecipeError
from tui.fit.quantize_plan import dtype_of
from tui.workers.libraries import device_of, has_native_bfloat16, load_libraries, torch_dtype
from tui.workers.reporter import Reporter

CHUNK = 32
"""Requests that are answered between two looks at whether the job shall end."""


def run(reporter: Reporter) -> dict[str, Any]:
    """Answer the tasks of this job; returns the scores, which are kept beside the trials too."""
    started = time.monotonic()
    source, spec = reporter.source(), reporter.job.spec
    if find_spec("lm_eval") is None:
        raise RecipeError("lm-evaluation-harness is not installed", "pip install 'heft-tui[benchmark]'")
    problem = folder_problem(source)
    if problem:
        raise BuildBrokenError(f"{source.name} is not whole: {problem}", "download or quantize it again")
    reporter.progress(0, unit="requests", message=f"loading {source.name}")
    os.environ["HF_DATASETS_CACHE"] = str(reporter.folder / "datasets")
    load_libraries(reporter.paths)
    import lm_eval
    from lm_eval.tasks import TaskManager

    reporter.check()
    tasks = TaskManager(include_path=str(spec["tasks"]), include_defaults=False)
    names = list(spec.get("names") or tasks.all_tasks)
    unknown = [name for name in names if name not in tasks.all_tasks]
    if unknown or not names:
        what = f"there is no task {', '.join(unknown)}" if unknown else "there is no task"
        raise NotFoundError(f"{what} in {spec['tasks']}", f"there are: {', '.join(tasks.all_tasks) or 'none'}")
    model = _model(reporter, source)
    found = lm_eval.simple_evaluate(
        model=model,
        tasks=names,
        task_manager=tasks,
        limit=spec.get("limit"),
        use_cache=str(reporter.folder / "answers"),
        bootstrap_iters=1000,
        log_samples=False,
    )
    scores = scores_of(found)
    version = str(getattr(lm_eval, "__version__", ""))
    store = TrialStore(reporter.paths.trials)
    try:
        store.keep_scores(str(spec.get("build") or source.name), version, scores)
    finally:
        store.close()
    seconds = round(time.monotonic() - started, 1)
    return {
        "build": spec.get("build"),
        "harness": version,
        "seconds": seconds,
        "scores": [asdict(one) for one in scores],
    }


def _model(reporter: Reporter, source: Path) -> Any:
    """The build behind the harness's own Hugging Face model, in chunks so that it can be watched and stopped."""
    from lm_eval.models.huggingface import HFLM

    done = 0

    class Watched(HFLM):  # type: ignore[misc]
        def _loglikelihood_tokens(self, requests: Sequence[Any], *arguments: Any, **more: Any) -> list[Any]:
            return _in_chunks(
                requests, lambda part: super(Watched, self)._loglikelihood_tokens(part, *arguments, **more)
            )

        def generate_until(self, requests: Sequence[Any], *arguments: Any, **more: Any) -> list[Any]:
            return _in_chunks(requests, lambda part: super(Watched, self).generate_until(part, *arguments, **more))

    def _in_chunks(requests: Sequence[Any], answer: Any) -> list[Any]:
        nonlocal done
        answers: list[Any] = []
        total = done + len(requests)
        for start in range(0, len(requests), CHUNK):
            reporter.check()
            answers += answer(list(requests[start : start + CHUNK]))
            reporter.progress(done + len(answers), total, "requests", f"answering {source.name}")
        done = total
        return answers

    device = device_of(reporter.job.device)
    dtype = dtype_of(source, device=device, native_bfloat16=has_native_bfloat16())
    return Watched(
        pretrained=str(source),
        device="cuda:0" if device == "cuda" else "cpu",
        dtype=torch_dtype(dtype),
        batch_size="auto" if device == "cuda" else 1,
        trust_remote_code=False,
    )
