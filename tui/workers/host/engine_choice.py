"""Which engine loads a build, and why: GGUF in llama.cpp; the rest in our own loop, but for a GPTQ build on a CPU.

A symmetric GPTQ build holds numbers that llama.cpp's blocks hold too, and on a CPU llama.cpp writes tokens from them
faster than GPTQ's kernels (tests/benchmarks/gguf_export.py measures both) and loads without torch. So it is
written as a GGUF build once, which shows in the list of builds, and loaded from there.
"""

from __future__ import annotations

from pathlib import Path

from tui.catalog.gguf_plan import GgufPlan, plan_gguf
from tui.errors import BuildBrokenError, HeftError, UsageError
from tui.jobs.plan import folder_name
from tui.settings import ENGINES, load_settings
from tui.workers import llama_cpp
from tui.workers.gguf_score import is_gguf
from tui.workers.host.engine import Engine
from tui.workers.host.llama_engine import open_gguf
from tui.workers.host.loading import load
from tui.workers.host.torch_engine import TorchEngine
from tui.workers.reporter import Reporter


def open_engine(reporter: Reporter, folder: Path) -> Engine:
    """Load the build in ``folder`` into the engine that is asked for, or the one that is faster here."""
    spec = reporter.job.spec
    context = spec.get("context")
    wanted = str(spec.get("engine") or load_settings(reporter.paths.settings_file).chat.engine)
    if wanted not in ENGINES:
        raise UsageError(f"{wanted!r} is not an engine", f"known are {', '.join(ENGINES)}")
    if is_gguf(folder):
        if wanted == "transformers":
            raise HeftError(f"{folder.name} is a GGUF build, which llama.cpp loads", "leave --engine away")
        return open_gguf(reporter, folder, context)
    plan, reason = llama_plan(folder, wanted, reporter.job.device)
    if plan is not None:
        try:
            return _exported(reporter, folder, plan, context)
        except (HeftError, OSError) as error:
            if wanted == "llama.cpp":
                raise
            reason = f"llama.cpp is not used: {error}"
    reporter.say(reason)
    engine = TorchEngine(load(reporter, folder, context))
    if reason.startswith("llama.cpp is not used"):
        engine.notes.append(reason)
    return engine


def llama_plan(folder: Path, wanted: str, device: str) -> tuple[GgufPlan | None, str]:
    """How ``folder`` is exported for llama.cpp, or None with the reason; raises where llama.cpp was asked for by name
    and cannot."""
    if wanted == "transformers":
        return None, "transformers, as asked"
    try:
        if reason := llama_cpp.why_not():
            raise HeftError(f"llama.cpp cannot run here: {reason}", "take --engine transformers")
        plan = plan_gguf(folder)
    except HeftError as error:
        if wanted == "llama.cpp":
            raise
        quantized = (folder / "quantize_config.json").is_file()
        return None, f"llama.cpp is not used: {error.summary}" if quantized else "transformers"
    if wanted == "llama.cpp":
        return plan, "llama.cpp, as asked"
    if device.startswith("cuda"):
        return None, "transformers: there is a GPU"
    if not plan.quantized or not plan.exact:
        return None, "transformers: the build is not one that llama.cpp holds bit for bit"
    return plan, ""


def _exported(reporter: Reporter, folder: Path, plan: GgufPlan, context: int | None) -> Engine:
    from tui.workers.export import export  # with numpy, which a host of another build does without

    build = str(reporter.job.spec.get("build") or "") or folder.name
    name = f"{folder_name(build)}-{plan.type.lower()}"
    made = export(reporter, folder, name, "auto")
    engine = open_gguf(reporter, Path(made["path"]), context)
    if not Path(made["path"]).is_dir():
        raise BuildBrokenError(f"{name} is gone", "load the model again")
    how = "its weights bit for bit" if plan.exact else "rounded"
    engine.notes.insert(0, f"llama.cpp, {plan.type} from this build ({how}), kept as {name}")
    return engine
