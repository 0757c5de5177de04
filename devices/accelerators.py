"""The accelerators of this machine, as their drivers tell."""

from typing import Any

from ..units import Bytes, Rate
from .machine import Accelerator, Memory

_PCIE_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}  # bytes/s each way, after coding


def probe_accelerators(memory: Memory) -> tuple[Accelerator, ...]:
    """NVIDIA devices through NVML; none where the library or the driver is not there.

    `memory` is the machine's: what a device that has none of its own shares.
    """
    try:
        import pynvml as nvml
    except ImportError:
        return ()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        found = (_accelerator(nvml, index, memory) for index in range(nvml.nvmlDeviceGetCount()))
        return tuple(accelerator for accelerator in found if accelerator is not None)
    finally:
        nvml.nvmlShutdown()


def _accelerator(nvml: Any, index: int, memory: Memory) -> Accelerator | None:
    """One device; None where it has failed or was taken away."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        return _described(nvml, handle, memory)
    except nvml.NVMLError:
        return None


def _described(nvml: Any, handle: Any, memory: Memory) -> Accelerator:
    name = nvml.nvmlDeviceGetName(handle)
    own = _asked(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    return Accelerator(
        name=name.decode() if isinstance(name, bytes) else name,
        kind="cuda",
        memory=Bytes(own.total) if own else memory.total,
        free=Bytes(own.free) if own else memory.free,
        bandwidth=_bandwidth(nvml, handle),
        link=_link(nvml, handle) if own else None,
        unified=own is None,
    )


def _bandwidth(nvml: Any, handle: Any) -> Rate | None:
    """What its memory can deliver: bus width times clock, two transfers a cycle."""
    bits = _asked(nvml, nvml.nvmlDeviceGetMemoryBusWidth, handle)
    megahertz = _asked(nvml, nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_MEM)
    return Rate(2 * megahertz * 1e6 * bits / 8) if bits and megahertz else None


def _link(nvml: Any, handle: Any) -> Rate | None:
    """What its PCI Express link can deliver in one direction."""
    generation = _asked(nvml, nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle)
    lanes = _asked(nvml, nvml.nvmlDeviceGetMaxPcieLinkWidth, handle)
    return Rate(_PCIE_LANE[generation] * lanes) if generation in _PCIE_LANE and lanes else None


def _asked(nvml: Any, question: Any, *about: Any) -> Any:
    """None where this device does not know."""
    try:
        return question(*about)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return None
