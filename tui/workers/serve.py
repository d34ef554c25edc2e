"""Serve a build: load it, answer chats until told to stop or left idle, and leave nothing behind but the log.

The socket opens before the model loads, so a client learns "loading" instead of nothing.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import secrets
import socketserver
import time
from pathlib import Path
from typing import Any

from tui.errors import HeftError
from tui.jobs.job import Job
from tui.settings import load_settings
from tui.workers.host.desk import Desk
from tui.workers.host.engine import Engine, status_of
from tui.workers.host.engine_choice import open_engine
from tui.workers.host.loading import provenance
from tui.workers.host.server import Host, listen_on_port, listen_on_socket
from tui.workers.memory_watch import MemoryWatch
from tui.workers.reporter import Reporter, Stopped

KEY_FILE = "key"
LAST_WORD_SECONDS = 1.5
"""A connection on a busy machine has so long to write what it still holds and why the host ends."""


def run(reporter: Reporter) -> dict[str, Any]:
    """Host the build of this job; returns only when it has been idle for the time in its spec."""
    started = time.monotonic()
    job, spec = reporter.job, reporter.job.spec
    folder = reporter.source()
    build = str(spec.get("build") or "") or folder.name
    model = str(provenance(folder).get("model") or job.model or build)
    host = Host(build, _names(job, folder, build, model))
    socket_path = reporter.paths.socket_path(job.id)
    servers: list[socketserver.BaseServer] = []
    watch: MemoryWatch | None = None
    engine: Engine | None = None
    try:
        servers.append(listen_on_socket(host, socket_path))
        port = spec.get("port")
        key_file = ""
        if port is not None:
            key_file = _write_key(reporter.folder, host)
            servers.append(_listen(host, int(port)))
        engine = open_engine(reporter, folder)
        desk = Desk(engine)
        warming = time.monotonic()
        engine.warm_up()
        engine.seconds["first pass"] = round(time.monotonic() - warming, 3)
        host.status = lambda: _status(host, desk, job)
        host.desk = desk
        result = {
            "build": build,
            "model": model,
            "path": str(folder),
            "base_url": f"unix:{socket_path}",
            "socket": str(socket_path),
            "context": engine.context,
            "port": port,
            "key_file": key_file,
            "pid": os.getpid(),
            "engine": engine.name,
            "device": engine.device,
            "dtype": engine.dtype,
            "load_seconds": round(time.monotonic() - started, 3),
            "load_parts": engine.seconds,
            "notes": engine.notes,
            "chat_template": engine.has_template,
        }
        _tell(reporter, build, engine, result)
        reporter.ready(result)
        gc.freeze()  # what is loaded stays; looking through it for garbage would hold up answers
        desk.rehearse()
        desk.tune(reporter.stop)
        watch = MemoryWatch(
            reporter.paths, build, engine.device, engine.context, lambda: engine.cached_tokens, engine.name
        )
        watch.start()  # its peak begins anew, so what was measured with is not counted
        idle_minutes = _idle_minutes(reporter)
        if desk.work(reporter.stop, None if idle_minutes is None else 60.0 * idle_minutes) == "stop":
            raise Stopped
        reporter.say(f"unloaded after {idle_minutes:g} idle minutes; {desk.tokens_served} tokens served")
        return {**result, "ended_because": f"idle for {idle_minutes:g} minutes", "tokens_served": desk.tokens_served}
    finally:
        with contextlib.suppress(OSError):
            socket_path.unlink()  # first: a client that reads nothing holds up the rest until the process is ended
        if watch is not None:
            watch.close()
        host.drain(LAST_WORD_SECONDS)
        host.desk = None
        if engine is not None:
            engine.close()
        for server in servers:
            with contextlib.suppress(OSError):
                server.server_close()


def _idle_minutes(reporter: Reporter) -> float | None:
    """Minutes without a question after which this host ends: what its job says, else what the settings say. A host
    with a port serves other programs, which cannot load it again, so it stays."""
    spec = reporter.job.spec
    if spec.get("idle_minutes") is not None:
        return float(spec["idle_minutes"])
    if spec.get("port") is not None:
        return None
    return load_settings(reporter.paths.settings_file).chat.unload_after or None


def _names(job: Job, folder: Path, build: str, model: str) -> frozenset[str]:
    """What a client may call the model."""
    last = build.rpartition("/")[2]
    return frozenset(name for name in (build, last, model, job.model, folder.name, str(folder)) if name)


def _write_key(folder: Path, host: Host) -> str:
    """Make a key for the port and write it where only this user can read it."""
    host.key = secrets.token_urlsafe(32)
    path = folder / KEY_FILE
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(host.key)
    return str(path)


def _listen(host: Host, port: int) -> socketserver.BaseServer:
    try:
        return listen_on_port(host, port)
    except (OSError, OverflowError) as error:
        raise HeftError(f"port {port} of 127.0.0.1 cannot be used: {error}", "choose another port") from error


def _tell(reporter: Reporter, build: str, engine: Engine, result: dict[str, Any]) -> None:
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in engine.seconds.items())
    reporter.say(
        f"{build} answers on {result['socket']} ({engine.name}, {engine.device}, {engine.dtype},"
        f" context {engine.context}); loaded in {result['load_seconds']:.2f} s: {parts}"
    )
    for note in engine.notes:
        reporter.say(note)


def _status(host: Host, desk: Desk, job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "pid": os.getpid(),
        "build": host.build,
        **status_of(desk.engine),
        "memory": {"rss": _rss(), **desk.engine.memory()},
        "tokens_served": desk.tokens_served,
        "requests": desk.requests,
        "busy": desk.current is not None,
        "waiting": desk.waiting,
        "idle_seconds": round(desk.idle_seconds, 3),
    }


def _rss() -> int:
    """Bytes of memory that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
