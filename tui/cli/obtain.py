"""``heft pull``, ``quantize``, ``serve``, ``export`` and ``evaluate``: ask for jobs, and follow them."""

from __future__ import annotations

from argparse import Namespace

from tui.catalog.build import Build, Recipe
from tui.catalog.quality_words import dry_run_lines, quality_lines
from tui.cli.facts import job_facts
from tui.cli.follow import follow
from tui.cli.output import Output
from tui.cli.recipes import recipe_of
from tui.errors import NotFoundError, UsageError
from tui.jobs.job import Job, WhenFree
from tui.quantities import bytes_text
from tui.workbench import Workbench


def pull(arguments: Namespace, output: Output) -> int:
    """Download a model."""
    bench = Workbench()
    return submitted(bench, (bench.pull(bench.model(arguments.model), arguments.revision),), arguments, output)


def quantize(arguments: Namespace, output: Output) -> int:
    """(Download, then) quantize a model, or a build that is on this disk."""
    bench = Workbench()
    recipe = recipe_of(bench, arguments)
    build = next((build for build in bench.builds() if build.id == arguments.model), None)
    if arguments.dry_run:
        return _dry_run(bench, build or build_for(bench, arguments.model), recipe, arguments, output)
    if build is not None:
        jobs = bench.quantize_build(build, recipe, arguments.name, when_wished(arguments))
    else:
        jobs = bench.quantize(bench.model(arguments.model), recipe, arguments.name, when_wished(arguments))
    code = submitted(bench, jobs, arguments, output)
    if code == 0 and not arguments.detach:
        for line in quality_lines(bench.job(jobs[-1].id).result.get("quality")):
            output.text(line)
    return code


def _dry_run(bench: Workbench, build: Build, recipe: Recipe, arguments: Namespace, output: Output) -> int:
    job = bench.dry_run(build, recipe)
    code = submitted(bench, (job,), arguments, output)
    if code == 0 and not arguments.detach:
        output.text(f"{recipe.label} of {build.id} would take:")
        for line in dry_run_lines(bench.job(job.id).result):
            output.text(line)
    return code


def serve(arguments: Namespace, output: Output) -> int:
    """Load a build; returns when it answers, the host goes on in the background."""
    bench = Workbench()
    build = build_for(bench, arguments.build)
    job = bench.serve(
        build,
        arguments.context,
        arguments.port,
        when=when_wished(arguments),
        engine=arguments.engine,
        load_as=arguments.load_as,
    )
    code = submitted(bench, (job,), arguments, output)
    if code == 0 and not arguments.detach:
        result = bench.job(job.id).result
        output.note(f"ready at {result.get('base_url')}; heft chat {arguments.build} talks to it")
        if result.get("port"):
            output.note(f"and at http://127.0.0.1:{result['port']}/v1 with the key in {result.get('key_file')}")
        output.note(f"it stays loaded; heft jobs cancel {job.id} unloads it")
    return code


def export(arguments: Namespace, output: Output) -> int:
    """Write a build as one GGUF file."""
    bench = Workbench()
    job = bench.export(build_for(bench, arguments.build), arguments.type, arguments.name)
    code = submitted(bench, (job,), arguments, output)
    if code == 0 and not arguments.detach:
        made = bench.job(job.id).result
        exact = f"; {made['quantized_tensors']} quantized tensors, largest difference {made['max_difference']:g}"
        output.text(f"{made['build']} is {made['type']}, {bytes_text(made['bytes'])}{exact if made['exact'] else ''}")
        for note in made.get("notes") or ():
            output.note(note)
    return code


def evaluate(arguments: Namespace, output: Output) -> int:
    """Measure what a build is worth: perplexity, and what quantizing cost where its original is here."""
    bench = Workbench()
    job = bench.evaluate(build_for(bench, arguments.build), arguments.text, when_wished(arguments))
    code = submitted(bench, (job,), arguments, output)
    if code == 0 and not arguments.detach:
        result = bench.job(job.id).result
        output.text(f"perplexity {result.get('perplexity'):.4g} over {result.get('tokens')} tokens")
        for line in quality_lines(result.get("quality")):
            output.text(line)
    return code


def benchmark(arguments: Namespace, output: Output) -> int:
    """Run benchmark tasks on a build."""
    bench = Workbench()
    job = bench.benchmark(build_for(bench, arguments.build), arguments.tasks, arguments.task, arguments.limit)
    code = submitted(bench, (job,), arguments, output)
    if code == 0 and not arguments.detach:
        for score in bench.job(job.id).result.get("scores", ()):
            error = f" ± {score['error']:.4f}" if score["error"] is not None else ""
            value = f"{score['value']:.4f}{error}"
            output.text(f"{score['task']}  {score['metric']}  {value}  ({score['samples']} samples)")
    return code


def when_wished(arguments: Namespace) -> WhenFree | None:
    """What ``--when-free`` and ``--for`` ask for."""
    if arguments.when_free is None:
        if arguments.free_for is not None:
            raise UsageError("--for says how long --when-free must hold", "add e.g. --when-free 24GB")
        return None
    return WhenFree(arguments.when_free, 60.0 if arguments.free_for is None else arguments.free_for)


def build_for(bench: Workbench, ref: str) -> Build:
    """The whole build that ``ref`` names; the error of a model that is not here yet says how to get it."""
    try:
        return bench.whole_build(ref)
    except NotFoundError as missing:
        try:
            model = bench.model(ref)
        except NotFoundError:
            raise missing from None
        if model.is_api:
            raise NotFoundError(f"{model.id} runs at its provider and has no build", "heft chat talks to it") from None
        raise NotFoundError(f"{model.id} is not on this disk", f"heft pull {model.id} gets it") from None


def submitted(bench: Workbench, jobs: tuple[Job, ...], arguments: Namespace, output: Output) -> int:
    """Follow the jobs, or print the last one and return."""
    if not arguments.detach:
        return follow(bench, jobs, output)
    output.document(job_facts(jobs[-1]))
    for job in jobs:
        output.text(f"job {job.id}: {job.kind} {job.model}")
    return 0
