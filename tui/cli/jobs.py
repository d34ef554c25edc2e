"""``heft jobs``: the queue and what can be done with a job."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from tui.cli.facts import job_facts, time_text
from tui.cli.follow import follow, is_settled, state_text
from tui.cli.output import Output
from tui.jobs.admission import held_by_disk
from tui.jobs.job import Job, WhenFree, state_seconds
from tui.plain_text import clean_line
from tui.quantities import duration_text
from tui.workbench import Workbench


def list_jobs(arguments: Namespace, output: Output) -> int:
    """Print the queue, in its order."""
    bench = Workbench()
    full = bench.full_disk()
    jobs = bench.as_they_are(bench.jobs()) if full else bench.jobs()
    output.document([job_facts(job) for job in jobs])
    if held := full or held_by_disk(jobs):
        output.note(f"! {held}")
    rows = [[str(job.id), str(job.kind), job.model, str(job.state), state_text(job), _duration(job)] for job in jobs]
    heads = [">ID", "KIND", "MODEL", "STATE", "NOW", ">TIME"]
    output.table(heads, rows, "the queue is empty; heft quantize heft-starter puts something in")
    return 0


def _duration(job: Job) -> str:
    if job.started is None:
        return ""
    end = job.ended.timestamp() if job.ended else time.time()
    return duration_text(max(0.0, end - job.started.timestamp()))


def show(arguments: Namespace, output: Output) -> int:
    """Print one job with its history."""
    bench = Workbench()
    job = bench.job(arguments.id)
    events = bench.store.history(job.id)
    history = [
        {
            "at": time_text(event.at),
            "attempt": event.attempt,
            "state": str(event.state),
            "note": event.note,
            "seconds": seconds,
        }
        for event, seconds in zip(events, state_seconds(events), strict=True)
    ]
    output.document(job_facts(job) | {"history": history})
    output.text(f"job {job.id}: {job.kind} {job.model}")
    output.text(f"  {state_text(job)}")
    if job.failure and job.failure.hint:
        output.text(f"  {job.failure.hint}")
    output.text(f"  log {job.log}")
    for event, seconds in zip(events, state_seconds(events), strict=True):
        took = f" for {duration_text(seconds)}" if seconds is not None else ""
        output.text(f"  {time_text(event.at)}  {event.state}{took}  {event.note}")
    return 0


def cancel(arguments: Namespace, output: Output) -> int:
    """Stop a job for good, and wait until its process is gone."""
    bench = Workbench()
    job = bench.cancel(arguments.id)
    deadline = time.monotonic() + 15
    while not job.state.is_over and time.monotonic() < deadline:
        time.sleep(0.1)
        job = bench.job(arguments.id)
    return _told(job, output)


def pause(arguments: Namespace, output: Output) -> int:
    """Stop a job so that it can go on later."""
    bench = Workbench()
    job = bench.pause(arguments.id)
    deadline = time.monotonic() + 15
    while job.want is not None and time.monotonic() < deadline:
        time.sleep(0.1)
        job = bench.job(arguments.id)
    return _told(job, output)


def resume(arguments: Namespace, output: Output) -> int:
    """Let a paused or interrupted job go on."""
    return _told(Workbench().resume(arguments.id), output)


def retry(arguments: Namespace, output: Output) -> int:
    """Try a failed or cancelled job again."""
    return _told(Workbench().retry(arguments.id), output)


def move(arguments: Namespace, output: Output) -> int:
    """Move a waiting job, with its chain, in the queue."""
    return _told(Workbench().move(arguments.id, arguments.where), output)


def priority(arguments: Namespace, output: Output) -> int:
    """Give a waiting job another priority."""
    return _told(Workbench().prioritise(arguments.id, arguments.priority), output)


def when_free(arguments: Namespace, output: Output) -> int:
    """Let a waiting job start only when so much memory has been free for so long."""
    wish = WhenFree(arguments.memory, 60.0 if arguments.free_for is None else arguments.free_for)
    return _told(Workbench().start_when_free(arguments.id, wish), output)


def clear(arguments: Namespace, output: Output) -> int:
    """Forget the jobs that are over."""
    count = Workbench().clear_jobs()
    output.document({"cleared": count})
    output.text(f"{count} jobs cleared")
    return 0


def logs(arguments: Namespace, output: Output) -> int:
    """Print a job's log, and what is added to it with ``--follow``; JSON lines have a line each."""
    bench = Workbench()
    offset, rest = 0, ""
    while True:
        settled = is_settled(bench.job(arguments.id)) or not arguments.follow
        text, offset = bench.log_text(arguments.id, offset)
        if output.as_json:
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                output.document({"line": clean_line(line, 10_000)})
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
        if not text and settled:
            break
        if not text:
            time.sleep(0.2)
    if rest:
        output.document({"line": clean_line(rest, 10_000)})
    return 0


def wait(arguments: Namespace, output: Output) -> int:
    """Wait until a job is over (a host: until it answers); the exit code tells how it ended."""
    bench = Workbench()
    return follow(bench, [bench.job(arguments.id)], output, arguments.timeout)


def _told(job: Job, output: Output) -> int:
    output.document(job_facts(job))
    output.text(f"job {job.id} {job.kind} {job.model}: {state_text(job)}")
    return 0
