"""AMD GPUs as the driver's own library (AMD SMI) sees them; the only file that imports ``amdsmi``.

The bindings come with ROCm, or from the package index; without them, or without the amdgpu driver, there is nothing to
read. They print when their library is missing, so they are imported with their output held back. Every reading is
optional, as with NVIDIA's. Jobs of Heft compute on NVIDIA GPUs or the CPU, so these GPUs are shown and never chosen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.hardware.snapshot import Gpu, GpuProcess
from tui.plain_text import clean_line

SLOW_SECONDS = 2.0
"""How old processes, power and power limit may be."""
RETRY_SECONDS = 15.0
"""How long a failed start is believed before it is tried again."""
MEGA = 1024 * 1024
"""AMD SMI counts memory in these."""
NOT_CHOSEN = "shown only: jobs run on NVIDIA GPUs or the CPU"
DRIVER = Path("/sys/module/amdgpu")
"""Is there while the kernel has the driver loaded."""


@dataclass(slots=True)
class _Known:
    """What stays or changes slowly for one handle."""

    name: str
    uuid: str
    slow_at: float = 0.0
    power: float | None = None
    power_limit: float | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(slots=True)
class AmdProbe:
    """Reads all AMD GPUs. Cheap to construct; the library is loaded by the first ``read`` on a machine with the driver.
    Not thread-safe by itself: ``Probe`` holds a lock around it."""

    driver: str = ""
    clock: Callable[[], float] = time.monotonic
    present: Callable[[], bool] = DRIVER.exists
    _smi: Any = None
    _failed_at: float | None = None
    _note: str = ""
    _known: dict[int, _Known] = field(default_factory=dict)

    def read(self, first: int = 0) -> tuple[tuple[Gpu, ...], str]:
        """All GPUs, numbered from ``first``, and in words why there is none; no words where the machine has no amdgpu
        driver. Never raises."""
        if not self._start():
            return (), self._note
        try:
            handles = self._smi.amdsmi_get_processor_handles()
        except Exception as error:
            self._forget(f"the AMD driver does not answer: {clean_line(str(error), 120)}")
            return (), self._note
        if not handles:
            return (), "the AMD driver is loaded, but it shows no GPU"
        return tuple(self._row(handle, number, first) for number, handle in enumerate(handles)), ""

    def close(self) -> None:
        """Let the library go."""
        if self._smi is not None:
            self._ask(self._smi.amdsmi_shut_down)
        self._smi = None

    def _start(self) -> bool:
        if self._smi is not None:
            return True
        if self._failed_at is not None and self.clock() - self._failed_at < RETRY_SECONDS:
            return False
        if not self.present():
            self._failed_at, self._note = self.clock(), ""
            return False
        if importlib.util.find_spec("amdsmi") is None:
            self._forget("there is an AMD GPU, but its bindings are missing: pip install amdsmi, of ROCm's version")
            return False
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                import amdsmi

            amdsmi.amdsmi_init(amdsmi.AmdSmiInitFlags.INIT_AMD_GPUS)
        except Exception as error:  # without its library the import itself fails, in one of several ways
            words = clean_line(str(error), 120) or type(error).__name__
            self._forget(f"AMD SMI cannot start ({words}): install amd-smi-lib, or ask for access to /dev/kfd")
            return False
        self._smi, self._failed_at, self._note = amdsmi, None, ""
        return True

    def _forget(self, note: str) -> None:
        self.close()
        self._note, self._failed_at, self.driver = note, self.clock(), ""
        self._known.clear()

    def _row(self, handle: Any, number: int, first: int) -> Gpu:
        smi, known = self._smi, self._known.get(number)
        if known is None:
            asic = self._ask(smi.amdsmi_get_gpu_asic_info, handle) or {}
            driver = self._ask(smi.amdsmi_get_gpu_driver_info, handle) or {}
            self.driver = self.driver or _word(driver.get("driver_version"))
            uuid = _word(self._ask(smi.amdsmi_get_gpu_device_uuid, handle))
            known = self._known[number] = _Known(_word(asic.get("market_name")) or f"AMD GPU {number}", uuid)
        memory = self._ask(smi.amdsmi_get_gpu_vram_usage, handle)
        if memory is None:
            error = "the GPU does not answer; its kernel log may say more"
            return Gpu(first + number, known.name, 0, 0, 0, uuid=known.uuid, error=error)
        if not known.slow_at or self.clock() - known.slow_at >= SLOW_SECONDS:
            self._read_slow(handle, known)
        total, used = int(memory["vram_total"]) * MEGA, int(memory["vram_used"]) * MEGA
        activity = self._ask(smi.amdsmi_get_gpu_activity, handle) or {}
        clock = self._ask(smi.amdsmi_get_clock_info, handle, smi.AmdSmiClkType.GFX) or {}
        return Gpu(
            index=first + number,
            name=known.name,
            total=total,
            free=max(0, total - used),
            used=used,
            uuid=known.uuid,
            utilisation=_number(activity.get("gfx_activity")),
            temperature=self._temperature(handle),
            power=known.power,
            power_limit=known.power_limit,
            clock_mhz=None if (mhz := _number(clock.get("clk"))) is None else int(mhz),
            processes=known.processes,
            hidden=True,
            hidden_because=NOT_CHOSEN,
        )

    def _read_slow(self, handle: Any, known: _Known) -> None:
        smi = self._smi
        power = self._ask(smi.amdsmi_get_power_info, handle) or {}
        # Instinct cards from MI300 on tell the present power, older ones an average.
        known.power = _number(power.get("current_socket_power")) or _number(power.get("average_socket_power"))
        known.power_limit = _number(power.get("power_limit")) or None
        rows = self._ask(smi.amdsmi_get_gpu_process_list, handle) or []
        found = {int(row["pid"]): int(row["memory_usage"]["vram_mem"]) for row in rows}
        known.processes = tuple(GpuProcess(pid, used) for pid, used in sorted(found.items(), key=lambda it: -it[1]))
        known.slow_at = self.clock()

    def _temperature(self, handle: Any) -> float | None:
        """The hottest point where it is told, else the edge, in degrees Celsius."""
        smi = self._smi
        for place in (smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureType.EDGE):
            value = _number(self._ask(smi.amdsmi_get_temp_metric, handle, place, smi.AmdSmiTemperatureMetric.CURRENT))
            if value is not None and 0 < value < 200:
                return value
        return None

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """One reading, or None where this card, driver or container does not give it."""
        try:
            return call(*arguments)
        except Exception:  # the bindings raise their own errors, and decoding errors on strange firmware
            return None


def _number(value: Any) -> float | None:
    """A reading; the bindings say "N/A", or the largest number, where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (0xFFFF, 0xFFFFFFFF):
        return None
    return float(value)


def _word(value: Any) -> str:
    return "" if not isinstance(value, str) or value == "N/A" else clean_line(value, 80)
