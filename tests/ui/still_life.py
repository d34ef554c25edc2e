"""A machine that holds still: real stores with fixed rows, a fixed look at the hardware, and a clock that stands.

Pictures of the app on it are the same in every run and on every machine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock

from tui.catalog.build import Build, Quality, Recipe
from tui.catalog.catalog_file import Catalog
from tui.catalog.model import Api, Model, Shape
from tui.chat.conversation import Message, Parameters
from tui.compare.ballot import Vote
from tui.compare.trial import AttemptState, Contestant, Order, Place, Prompt
from tui.doctor import Check
from tui.hardware.snapshot import Disk, Gpu, GpuProcess, Host, Snapshot
from tui.jobs.disk_use import BuildUse, DiskUse
from tui.jobs.job import Failure, JobRequest, Kind, Needs, Progress
from tui.paths import Paths
from tui.workbench import Workbench

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
GB = 10**9
SMALL = Shape("Qwen3ForCausalLM", 28, 28, 1024, 3072, 16, 8, 128, 151936, tied_embeddings=True, dtype="bfloat16")
LARGE = Shape("LlamaForCausalLM", 80, 80, 8192, 28672, 64, 8, 128, 128256, tied_embeddings=False, dtype="bfloat16")


def _model(name: str, repo: str, params: int, shape: Shape, **facts: object) -> Model:
    key = repo.rpartition("/")[2].lower()
    chosen: dict[str, object] = {"vendor": repo.partition("/")[0].title(), "kind": "chat", "license": "Apache-2.0"}
    chosen |= {"commercial_use": "yes", "context_length": 32768, "released": "2025-04", "formats": ("safetensors",)}
    return Model(key, name, repo, params=params, shape=shape, **{**chosen, **facts})  # type: ignore[arg-type]


MODELS = (
    _model("Lantern 0.6B", "lumen/lantern-0.6b", 596_049_920, SMALL, first_run=True, strengths="small and quick"),
    _model("Lantern 8B Instruct", "lumen/lantern-8b", 8_030_261_248, LARGE, family="Lantern"),
    _model("Lantern 70B Instruct", "lumen/lantern-70b", 70_553_706_496, LARGE, gated=True, license="Lantern Community"),
    _model("Mistral-like 24B", "aeolus/gale-24b", 23_572_403_200, LARGE, context_length=131072),
    _model("Gale 30B-A3B", "aeolus/gale-30b-a3b", 30_532_122_624, LARGE, active_params=3_300_000_000),
    _model("通义 千问 日本語 7B", "tongyi/qianwen-ja-7b", 7_615_616_512, SMALL, kind="translation"),
    _model("Émile 🦜 embedder", "orage/emile", 308_000_000, SMALL, kind="embedding", context_length=2048),
    _model("Ferry 405B", "harbour/ferry-405b", 405_853_388_800, LARGE, license="Harbour Research", commercial_use="no"),
    _model("Quay 2", "harbour/quay-2", 2_780_000_000, SMALL, status="announced-only"),
    Model(
        "beacon-large", "Beacon Large", vendor="Beacon", kind="multimodal", context_length=200_000,
        api=Api("beacon", "beacon-large", "https://api.beacon.example/v1", "BEACON_KEY", price_in=2.5, price_out=10.0),
    ),
    *(
        _model(f"Pebble {size}B", f"shore/pebble-{size}b", size * 1_000_000_000, SMALL, license="MIT")
        for size in (1, 2, 3, 4, 6, 9, 12, 14, 20, 27, 32, 40, 65, 72, 110, 180, 235)
    ),
)  # fmt: skip

GPUS = (
    Gpu(
        0, "NVIDIA L40S", 48 * GB, 34 * GB, 14 * GB, "GPU-0", 63.0, 58.0, 212.0, 350.0, 2520,
        processes=(GpuProcess(4121, 9 * GB, "maria", "python train.py"), GpuProcess(5012, 5 * GB, "you", "", True, 3)),
    ),
    Gpu(1, "NVIDIA L40S", 48 * GB, 2 * GB, 46 * GB, "GPU-1", 99.0, 79.0, 341.0, 350.0, 2520,
        processes=(GpuProcess(991, 46 * GB, "jun", "vllm serve"),)),
)  # fmt: skip
HOST = Host("gpu-box", "AMD EPYC 9354", 32, 21.0, 3.4, 256 * GB, 180 * GB, 0, 0, 41_000_000.0, 210_000.0)
DISKS = (Disk("builds", "/data", 2_000 * GB, 620 * GB),)


def snapshot(gpus: bool) -> Snapshot:
    """The machine, always the same."""
    if gpus:
        return Snapshot(NOW.timestamp(), HOST, GPUS, DISKS, driver="570.86")
    return Snapshot(NOW.timestamp(), HOST, (), DISKS, gpu_note="no NVIDIA driver on this machine")


def _submit_jobs(bench: Workbench) -> None:
    store = bench.store
    recipe = {"bits": 4, "group_size": 128}
    first, second, third = store.submit_chain(
        [
            JobRequest(Kind.DOWNLOAD, "lantern-0.6b", {"repo": "lumen/lantern-0.6b"}, Needs(network=True), plan="a"),
            JobRequest(Kind.QUANTIZE, "lantern-0.6b", {"recipe": recipe}, Needs("cuda", 6 * GB), plan="a"),
            JobRequest(Kind.SERVE, "lantern-0.6b-gptq-4bit-g128", {}, Needs("cuda", 5 * GB), plan="a"),
        ]
    )
    for job, result in ((first, {"bytes": 1_190_000_000}), (second, {"bytes": 402_000_000})):
        store.claim(job.id, "")
        store.finish(job.id, 1, result)
    store.claim(third.id, "cuda:0")
    host = {"build": "lantern-0.6b-gptq-4bit-g128", "model": "lantern-0.6b", "context": 32768, "device": "cuda:0"}
    store.mark_ready(third.id, 1, host | {"base_url": "unix:/nowhere/s.sock"})
    large = store.submit(JobRequest(Kind.DOWNLOAD, "lantern-8b", {"repo": "lumen/lantern-8b"}, Needs(network=True)))
    store.claim(large.id, "")
    step = "model-00002-of-00004.safetensors"
    store.report(large.id, 1, Progress(9.1e9, 16.06e9, "B", 118e6, 59.0, step))
    waits = store.submit(JobRequest(Kind.QUANTIZE, "gale-24b", {"recipe": recipe}, Needs("cuda", 46 * GB)))
    store.wait(waits.id, "GPU 0 has 34.0 of 46.0 GB needed; pid 4121 of maria holds 9.0 GB")
    broken = store.submit(JobRequest(Kind.DOWNLOAD, "lantern-70b", {"repo": "lumen/lantern-70b"}))
    store.claim(broken.id, "")
    store.fail(broken.id, 1, Failure("its terms are not accepted yet", "accept them at https://huggingface.co/lumen"))
    for job, minutes in ((first, 42), (second, 40), (third, 21), (large, 2), (waits, 1), (broken, 5)):
        _hold_still(bench, job.id, NOW - timedelta(minutes=minutes))
    large.folder.mkdir(parents=True, exist_ok=True)
    large.log.write_text("".join(f"09:2{n} part {n} of 4 is here\n" for n in range(1, 4)), encoding="utf-8")


def _hold_still(bench: Workbench, job_id: int, started: datetime) -> None:
    ended = started + timedelta(seconds=95)
    with bench.store._database.writing() as connection:
        connection.execute(
            "UPDATE job SET created = ?, started = CASE WHEN started IS NULL THEN NULL ELSE ? END,"
            " ended = CASE WHEN ended IS NULL THEN NULL ELSE ? END WHERE id = ?",
            (started.isoformat(), started.isoformat(), ended.isoformat(), job_id),
        )
        connection.execute("UPDATE event SET at = ? WHERE job_id = ?", (started.isoformat(), job_id))


ANSWER = """`group_size` says how many weights **share one scale**. Smaller groups follow the weights more closely:

| group | bits per weight | perplexity |
|---|---|---|
| 32 | 4.6 | 11.9 |
| 128 | 4.2 | 12.3 |

```python
recipe = Recipe(bits=4, group_size=128)
```

Use 128 unless quality suffers."""


def _talk(bench: Workbench) -> None:
    transcripts = bench.transcripts()
    for title, count in (("Notes on calibration", 1), ("", 2)):
        kept = transcripts.start("lantern-0.6b-gptq-4bit-g128", title=title)
        transcripts.add(kept.id, Message("user", "What does group_size do?"))
        answer = Message("assistant", ANSWER, usage={"prompt_tokens": 14, "completion_tokens": 121},
                         time_to_first_token=0.18, tokens_per_second=141.2)  # fmt: skip
        transcripts.add(kept.id, answer)
        if count > 1:
            transcripts.add(kept.id, Message("user", "And desc_act?"))
            short = Message("assistant", "It quantizes the columns that matter most first.",
                            usage={"prompt_tokens": 150, "completion_tokens": 11},
                            time_to_first_token=0.05, tokens_per_second=138.0)  # fmt: skip
            transcripts.add(kept.id, short)
    with transcripts._writing() as connection:
        stamp = NOW.timestamp()
        connection.execute("UPDATE message SET created = ?", (stamp - 600,))
        connection.execute("UPDATE conversation SET created = ? - 900, updated = ? - 1200 + id * 300", (stamp, stamp))


def _try(bench: Workbench) -> None:
    """A trial of two that answer and one that went away, with a vote."""
    store = bench.trials().store
    panel = tuple(Contestant(name, name, "endpoint", name, base_url="http://127.0.0.1:9/v1") for name in CONTESTANTS)
    asked = (Prompt(("What does group_size do?",)), Prompt(("Name a smaller one than 128.",)))
    trial = store.start(
        Order(panel, asked, parameters=Parameters(temperature=0.0, max_tokens=512, seed=0)), "group_size"
    )
    told = {"model": "lantern-0.6b", "versions": {"heft": "0.1.0"}, "device": "cuda:0"}
    for place, text in (
        (Place(0, 0), "It says how many weights share one scale."),
        (Place(1, 0), "It says how many weights share a scale; 128 is usual."),
        (Place(0, 1), "64 is smaller than 128."),
        (Place(1, 1), "Take 32, or 64."),
    ):
        later = place.contestant + place.prompt
        times = {"time_to_first_token": 0.21 + later, "seconds": 1.4 + later, "tokens_per_second": 41.0 - later}
        known = {"prompt_tokens": 12, "completion_tokens": 9, "cost": 0}
        store.finish(store.begin(trial.id, place, told), state=AttemptState.DONE, text=text, **known, **times)
    gone = store.begin(trial.id, Place(2, 0), told)
    store.finish(gone, state=AttemptState.FAILED, text="It", problem="the server went away", hint="look at its log")
    store.vote(Vote(trial.id, 0, 0, CONTESTANTS[0], CONTESTANTS[1], "other"))
    at = (NOW - timedelta(hours=1)).timestamp()
    with store._writing() as connection:
        for table, columns in (("trial", "created = ?, updated = ?"), ("attempt", "started = ?"), ("vote", "at = ?")):
            connection.execute(f"UPDATE {table} SET {columns}", [at] * columns.count("?"))


CONTESTANTS = ("lantern-0.6b", "lantern-0.6b-4bit", "gale-24b")
FINDINGS = (
    Check("python", "ok", "3.12.4"),
    Check("gptqmodel", "warning", "7.5 is older than what Heft was tried with", "pip install -U gptqmodel"),
    Check("disk", "problem", "1.2 GB are free where builds go", "heft prune says what can be deleted"),
)


def builds(paths: Paths) -> list[Build]:
    """What lies on this disk."""
    recipe = Recipe(bits=4, group_size=128)
    return [
        Build("lantern-0.6b", paths.hub_cache / "models--lumen--lantern-0.6b", "lantern-0.6b", "bfloat16",
              1_190_000_000, "a1b2c3d", "lumen/lantern-0.6b", created="2026-03-12T08:00:00Z", source="hub-cache"),
        Build("lantern-0.6b-gptq-4bit-g128", paths.builds / "lantern-0.6b-gptq-4bit-g128", "lantern-0.6b",
              "gptq-4bit-g128", 402_000_000, "a1b2c3d", "lumen/lantern-0.6b", recipe, Quality(11.61, 12.28, 8192),
              created="2026-03-12T08:04:00Z"),
        Build("gale-24b-gptq-4bit-g128", paths.builds / "gale-24b", "gale-24b", "gptq-4bit-g128", 13_000_000_000,
              problem="model-00002-of-00003.safetensors is missing"),
    ]  # fmt: skip


@contextlib.contextmanager
def still_machine(paths: Paths, *, gpus: bool = True, empty: bool = False) -> Iterator[Workbench]:
    """A workbench on that machine; ``empty``: nothing was ever done on it."""
    with contextlib.ExitStack() as held:
        for place, value in (
            ("tui.ui.clock.seconds", NOW.timestamp),
            ("tui.workbench.work.ensure_runner", lambda paths: None),
            ("os.getcwd", lambda: "/home/you"),
        ):
            held.enter_context(mock.patch(place, value))
        held.enter_context(mock.patch.dict("os.environ", {"TZ": "UTC", "HF_ENDPOINT": "http://127.0.0.1:9"}))
        time.tzset()
        bench = Workbench(paths)
        bench.__dict__["_catalog"] = Catalog(MODELS)
        bench.snapshot = lambda: snapshot(gpus)  # type: ignore[method-assign]
        bench.builds = lambda: [] if empty else builds(paths)  # type: ignore[method-assign]
        bench.disk_use = lambda **_: DiskUse(
            tuple(BuildUse(build, NOW - timedelta(hours=3)) for build in bench.builds())
        )  # type: ignore[method-assign]
        bench.doctor = lambda: list(FINDINGS)  # type: ignore[method-assign]
        if not empty:
            _submit_jobs(bench)
            _talk(bench)
            _try(bench)
        try:
            yield bench
        finally:
            bench.close()
