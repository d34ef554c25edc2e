"""One frozen look at the machine: the only shape in which hardware facts cross a thread.

All sizes are bytes, percentages 0-100, temperatures degrees Celsius, power watts. A reading that the driver does not
give is None and is shown as a dash, never as zero.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory on a GPU; ``job_id`` is set when it belongs to a job of ours."""

    pid: int
    used: int | None
    owner: str = ""
    command: str = ""
    mine: bool = False
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU (or MIG slice) as NVML sees it.

    ``index`` is NVML's own for a whole GPU and unique among all rows; to bind a process to it, put ``uuid`` into
    ``CUDA_VISIBLE_DEVICES``, because CUDA may number GPUs in another order and knows slices by uuid alone.
    """

    index: int
    name: str
    total: int
    free: int
    used: int
    uuid: str = ""
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    clock_mhz: int | None = None
    compute_capability: tuple[int, int] | None = None
    mig: bool = False
    processes: tuple[GpuProcess, ...] = ()
    error: str = ""
    """Why its readings are missing ("the GPU is lost ..."); such a GPU is shown but never chosen."""
    reserved: int = 0
    """Bytes that driver and firmware keep for ever; part of ``total``, never of ``free`` or ``used``."""
    parent: int | None = None
    """Of a MIG slice: the index of the GPU that it is a part of."""
    slice: int | None = None
    """Of a MIG slice: its number on that GPU."""
    unified: bool = False
    """It shares the machine's RAM: ``total`` and ``free`` are those of the machine."""
    hidden: bool = False
    """It is shown, never chosen; ``hidden_because`` says why."""
    hidden_because: str = ""

    @property
    def label(self) -> str:
        """What a person calls it: "GPU 0", or "GPU 0 slice 2" for a MIG slice."""
        return f"GPU {self.index}" if self.parent is None else f"GPU {self.parent} slice {self.slice}"

    @property
    def usable(self) -> int:
        """Bytes that an otherwise empty GPU can give."""
        return self.total - self.reserved


@dataclass(frozen=True, slots=True)
class Disk:
    """The volume that a folder of ours lives on; ``label`` is what we keep there ("builds", "downloads")."""

    label: str
    path: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Host:
    """The machine around the GPUs. ``memory_available`` is what a new process can really get (cgroup limits count)."""

    hostname: str = ""
    cpu_name: str = ""
    cpu_count: int = 1
    cpu_percent: float = 0.0
    load: float = 0.0
    memory_total: int = 0
    memory_available: int = 0
    swap_total: int = 0
    swap_used: int = 0
    network_received_rate: float = 0.0
    network_sent_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. ``taken`` is ``time.time()``; ``gpu_note`` says in words why there is no GPU."""

    taken: float = 0.0
    host: Host = Host()
    gpus: tuple[Gpu, ...] = ()
    disks: tuple[Disk, ...] = ()
    gpu_note: str = ""
    driver: str = ""
