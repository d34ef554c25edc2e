"""Where Heft keeps things. This module alone turns environment and platform into folders.

``HEFT_HOME`` puts everything under one folder; without it the platform's own places are used. The state folder is
per host, because homes are often shared between machines while processes and sockets are not.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

SOCKET_PATH_LIMIT = 100
"""Longest socket path in bytes; the kernel's own limit is 107."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Every folder and file that Heft owns, plus the Hugging Face cache that it shares with other tools."""

    config: Path
    data: Path
    state: Path
    hub_cache: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Paths:
        """Read ``HEFT_HOME``, ``HF_HUB_CACHE``, ``HF_HOME`` and the platform's conventions; creates nothing."""
        env = os.environ if environment is None else environment
        host = socket.gethostname() or "localhost"
        home = env.get("HEFT_HOME")
        if home:
            root = Path(home).expanduser().absolute()
            config, data, state = root / "config", root / "data", root / "state" / host
            default_cache = root / "huggingface" / "hub"
        else:
            config = Path(platformdirs.user_config_dir("heft"))
            data = Path(platformdirs.user_data_dir("heft"))
            state = Path(platformdirs.user_state_dir("heft")) / host
            default_cache = Path(env.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"
        if env.get("HF_HUB_CACHE"):
            hub_cache = Path(env["HF_HUB_CACHE"]).expanduser()
        elif env.get("HF_HOME"):
            hub_cache = Path(env["HF_HOME"]).expanduser() / "hub"
        else:
            hub_cache = default_cache
        return cls(config=config, data=data, state=state, hub_cache=hub_cache)

    @property
    def settings_file(self) -> Path:
        """The user's ``config.toml``; may be absent."""
        return self.config / "config.toml"

    @property
    def user_models_file(self) -> Path:
        """The user's own ``models.toml``, which adds to and overrides the shipped one; may be absent."""
        return self.config / "models.toml"

    @property
    def builds(self) -> Path:
        """Folder of the builds that Heft made, one folder each."""
        return self.data / "builds"

    @property
    def chats(self) -> Path:
        """SQLite file of the conversations."""
        return self.data / "chats.db"

    @property
    def trials(self) -> Path:
        """SQLite file of the trials: prompts put to several models, with what came of it."""
        return self.data / "trials.db"

    @property
    def browse_cache(self) -> Path:
        """Cards and metadata of models that were only looked at, kept out of the Hugging Face cache."""
        return self.data / "browse"

    @property
    def database(self) -> Path:
        """SQLite file of the jobs."""
        return self.state / "jobs.db"

    @property
    def jobs(self) -> Path:
        """Folder of the job folders."""
        return self.state / "jobs"

    @property
    def measurements(self) -> Path:
        """What models really took on this machine."""
        return self.state / "measured.json"

    @property
    def runner_lock(self) -> Path:
        """Held by the one runner of this user and host."""
        return self.state / "runner.lock"

    @property
    def runner_log(self) -> Path:
        """What the runner says."""
        return self.state / "runner.log"

    @property
    def layout(self) -> Path:
        """How the user has arranged the screen."""
        return self.state / "layout.json"

    @property
    def app_log(self) -> Path:
        """What the app and stray output of libraries say."""
        return self.state / "app.log"

    def job_folder(self, job_id: int) -> Path:
        """The folder of one job: spec, lock, log and whatever it checkpoints."""
        return self.jobs / str(job_id)

    def prepare(self) -> Paths:
        """Create the folders that Heft writes to, the state folder with mode 0700; returns itself."""
        for folder in (self.config, self.data, self.builds):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(self.state.stat().st_mode) != 0o700:
            self.state.chmod(0o700)
        self.jobs.mkdir(mode=0o700, exist_ok=True)
        return self

    def socket_path(self, job_id: int) -> Path:
        """A path for a host's Unix socket in a 0700 folder, at most ``SOCKET_PATH_LIMIT`` bytes.

        The job folder serves where it is short enough; else a folder of this user under /tmp, which is checked to be
        ours and private. Raises ``OSError`` when somebody else owns that folder.
        """
        wanted = self.job_folder(job_id) / "s.sock"
        if len(os.fsencode(wanted)) <= SOCKET_PATH_LIMIT:
            return wanted
        folder = Path("/tmp") / f"heft-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        import hashlib  # the first frame does not need OpenSSL

        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise OSError(f"{folder} is not a private folder of this user; remove it or set a shorter HEFT_HOME")
        mark = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:12]
        return folder / f"{mark}-{job_id}.sock"


NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "lustre", "beegfs", "gpfs", "ceph", "fuse.ceph"}
)
"""Where SQLite's write-ahead log, which needs memory shared between its users, must not be used."""


def file_system_of(path: Path, mounts: str | None = None) -> str:
    """The type of the file system that holds ``path`` ("ext4", "nfs4"), or "" where the kernel does not say."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8") if mounts is None else mounts
    except OSError:
        return ""
    best, found = -1, ""
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) < 5 or not kinds:
            continue
        point = fields[4].replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= best:
            best, found = len(point), kinds[0]
    return found
