"""NVIDIA GPUs as the driver's own library (NVML) sees them; the only file that imports ``pynvml``.

Every reading is optional: what a card, a driver or a container does not give is None. A GPU that fell off the bus keeps
its row with the reason, and the others are still read. What changes slowly (names, power, processes) is asked less
often.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tui.hardware.snapshot import Gpu, GpuProcess
from tui.plain_text import clean_line

SLOW_SECONDS = 2.0
"""How old processes, power and power limit may be; asking costs milliseconds per GPU."""
RETRY_SECONDS = 15.0
"""How long a failed start of NVML is believed before it is tried again."""

_Value = TypeVar("_Value")

_WORDS = {
    "NVML_ERROR_LIBRARY_NOT_FOUND": "no NVIDIA driver on this machine",
    "NVML_ERROR_DRIVER_NOT_LOADED": "the NVIDIA driver is installed but not loaded: load its kernel module or reboot",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": "driver and library versions differ: reboot or reload the driver",
    "NVML_ERROR_NO_PERMISSION": "this user may not talk to the NVIDIA driver: ask for access to /dev/nvidiactl",
    "NVML_ERROR_GPU_IS_LOST": "the GPU is lost: it no longer answers on the bus; reset it or reboot",
    "NVML_ERROR_RESET_REQUIRED": "the GPU needs a reset before it can be used",
    "NVML_ERROR_UNKNOWN": "the driver answered with an unknown error; its kernel log may say more",
}


@dataclass(slots=True)
class _Known:
    """What stays or changes slowly for one handle."""

    name: str
    uuid: str
    compute_capability: tuple[int, int] | None
    slow_at: float = 0.0
    power: float | None = None
    power_limit: float | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(slots=True)
class NvidiaProbe:
    """Reads all NVIDIA GPUs. Cheap to construct; the library is loaded by the first ``read``. Not thread-safe by
    itself: ``Probe`` holds a lock around it."""

    visible: str | None = None
    """The value of ``CUDA_VISIBLE_DEVICES``; None where it is not set."""
    driver: str = ""
    clock: Callable[[], float] = time.monotonic
    _started: bool = False
    _failed_at: float | None = None
    _note: str = ""
    _known: dict[tuple[int, int | None], _Known] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> NvidiaProbe:
        """A probe that respects ``CUDA_VISIBLE_DEVICES``."""
        return cls(visible=(os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES"))

    def read(self) -> tuple[tuple[Gpu, ...], str]:
        """All GPUs, and in words why there is none (empty when there are some). Never raises."""
        if not self._start():
            return (), self._note
        import pynvml

        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._forget(_words(error))
            return (), self._note
        if count == 0:
            return (), "the NVIDIA driver is loaded, but it shows no GPU"
        gpus: list[Gpu] = []
        for index in range(count):
            gpus.extend(self._one(pynvml, index))
        return tuple(_hide(gpus, self.visible)), ""

    def close(self) -> None:
        """Let the library go."""
        if self._started:
            import pynvml

            _ask(pynvml.nvmlShutdown)
        self._started = False

    def _start(self) -> bool:
        if self._started:
            return True
        if self._failed_at is not None and self.clock() - self._failed_at < RETRY_SECONDS:
            return False
        try:
            import pynvml
        except ImportError:
            self._note = "the NVIDIA bindings (nvidia-ml-py) are not installed"
            self._failed_at = self.clock()
            return False
        try:
            pynvml.nvmlInit()
        except (pynvml.NVMLError, OSError, AttributeError) as error:
            self._forget(_words(error))
            return False
        self._started, self._failed_at, self._note = True, None, ""
        self.driver = clean_line(_ask(pynvml.nvmlSystemGetDriverVersion) or "")
        return True

    def _forget(self, note: str) -> None:
        self.close()
        self._note, self._failed_at, self.driver = note, self.clock(), ""
        self._known.clear()

    def _one(self, nvml: Any, index: int) -> list[Gpu]:
        """The rows of one physical GPU: itself, or its slices when MIG is on and has slices."""
        known = self._known.get((index, None))
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            mode = _ask(nvml.nvmlDeviceGetMigMode, handle)
            slices = self._slices(nvml, handle, index) if mode and mode[0] == 1 else []
            return slices or [self._row(nvml, handle, index, None)]
        except nvml.NVMLError as error:
            self._known.pop((index, None), None)
            name, uuid = (known.name, known.uuid) if known else (f"GPU {index}", "")
            return [Gpu(index=index, name=name, uuid=uuid, total=0, free=0, used=0, error=_words(error))]

    def _slices(self, nvml: Any, parent: Any, index: int) -> list[Gpu]:
        gpus = []
        for number in range(_ask(nvml.nvmlDeviceGetMaxMigDeviceCount, parent) or 0):
            handle = _ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, parent, number)
            if handle is not None:
                row = self._row(nvml, handle, index, number)
                gpus.append(replace(row, index=100 * (index + 1) + number, mig=True, parent=index, slice=number))
        return gpus

    def _row(self, nvml: Any, handle: Any, index: int, number: int | None) -> Gpu:
        known = self._known.get((index, number))
        uuid = clean_line(_ask(nvml.nvmlDeviceGetUUID, handle) or "")
        if known is None or known.uuid != uuid:
            name = clean_line(_ask(nvml.nvmlDeviceGetName, handle) or f"GPU {index}")
            known = _Known(name, uuid, _ask(nvml.nvmlDeviceGetCudaComputeCapability, handle))
            self._known[(index, number)] = known
        total, free, used, reserved = _memory(nvml, handle)
        if self.clock() - known.slow_at >= SLOW_SECONDS or not known.slow_at:
            known.power = _scaled(_ask(nvml.nvmlDeviceGetPowerUsage, handle), 0.001)
            known.power_limit = _scaled(_ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle), 0.001)
            known.processes = _processes(nvml, handle)
            known.slow_at = self.clock()
        rates = _ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return Gpu(
            index=index,
            name=known.name,
            uuid=uuid,
            total=total or 0,
            free=free,
            used=used,
            reserved=reserved,
            unified=total is None,
            utilisation=None if rates is None else float(rates.gpu),
            temperature=_scaled(_ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU), 1.0),
            power=known.power,
            power_limit=known.power_limit,
            clock_mhz=_ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            compute_capability=known.compute_capability,
            processes=known.processes,
        )


def _ask(call: Callable[..., _Value], *arguments: Any) -> _Value | None:
    """One reading, or None when this card, driver or container does not give it; a lost GPU raises."""
    import pynvml

    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if getattr(error, "value", None) in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED):
            raise
        return None
    except (pynvml.NVMLLibraryMismatchError, UnicodeDecodeError):
        return None


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int, int, int]:
    """Total, free, used and reserved bytes. The second version of the call keeps what the driver reserves apart; the
    first counts it as used. Total is None on GPUs that share the machine's RAM: they do not answer at all."""
    info = _ask(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
    if info is not None:
        return int(info.total), int(info.free), int(info.used), int(info.reserved)
    try:
        info = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if getattr(error, "value", None) != nvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        return None, 0, 0, 0
    return int(info.total), int(info.free), int(info.used), 0


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Who holds memory: compute and graphics processes together, most bytes first; bytes None where not told."""
    found: dict[int, int | None] = {}
    for kind in ("Compute", "Graphics"):
        rows = None
        for version in ("_v3", "_v2", ""):
            call = getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}", None)
            rows = _ask(call, handle) if call is not None else None
            if rows is not None:
                break
        for row in rows or ():
            pid, used = int(row.pid), row.usedGpuMemory
            before = found.get(pid)
            found[pid] = before if used is None else max(before or 0, int(used))
    return tuple(GpuProcess(pid, used) for pid, used in sorted(found.items(), key=lambda item: -(item[1] or 0)))


def _hide(gpus: list[Gpu], visible: str | None) -> list[Gpu]:
    """Mark the GPUs that ``CUDA_VISIBLE_DEVICES`` takes away: a list of indices or of uuids (also shortened); the list
    ends at the first word that names nothing, as in CUDA."""
    if visible is None:
        return gpus
    allowed: set[int] = set()
    for word in (part.strip() for part in visible.split(",")):
        named = {
            gpu.index
            for gpu in gpus
            if (word.isdigit() and int(word) in (gpu.index, gpu.parent))
            or (word.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(word))
        }
        if not named:
            break
        allowed |= named
    because = "not given to you: CUDA_VISIBLE_DEVICES"
    return [gpu if gpu.index in allowed else replace(gpu, hidden=True, hidden_because=because) for gpu in gpus]


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _words(error: BaseException) -> str:
    """What an NVML error means, and what to do."""
    import pynvml

    number = getattr(error, "value", None)
    for name, words in _WORDS.items():
        if number == getattr(pynvml, name):
            return words
    return f"the NVIDIA driver does not answer: {clean_line(str(error))}"
