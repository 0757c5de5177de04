"""NVIDIA devices, as a driver library tells of them: a scripted one here, the real one where there is a device."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from accel.devices.accelerators import probe_accelerators
from accel.devices.machine import Memory
from accel.units import Bytes

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
HOST = Memory(Bytes.from_gib(32), Bytes.from_gib(20))


class Nvml:
    """A driver's library with these devices; a fact that is an error is raised."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_FunctionNotFound = pynvml.NVMLError_FunctionNotFound
    NVML_CLOCK_MEM = pynvml.NVML_CLOCK_MEM

    def __init__(self, *devices: dict[str, Any]) -> None:
        self.devices = devices
        self.open = False
        for name in RTX_3060:
            setattr(self, name, lambda device, *_, fact=name: self._tell(device[fact]))

    def _tell(self, fact: Any) -> Any:
        if isinstance(fact, Exception):
            raise fact
        return fact

    def nvmlInit(self) -> None:
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self._tell(self.devices[index].get("lost", self.devices[index]))


RTX_3060 = {
    "nvmlDeviceGetName": "NVIDIA GeForce RTX 3060",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=12 << 30, free=11 << 30),
    "nvmlDeviceGetMemoryBusWidth": 192,
    "nvmlDeviceGetMaxClockInfo": 7501,
    "nvmlDeviceGetMaxPcieLinkGeneration": 4,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
}
UNKNOWN = pynvml.NVMLError_NotSupported()
ORIN = dict.fromkeys(RTX_3060, UNKNOWN) | {"nvmlDeviceGetName": b"Orin"}
LOST = {"lost": pynvml.NVMLError_GpuIsLost()}


def test_a_card_has_memory_of_its_own_behind_a_link(monkeypatch) -> None:
    nvml = Nvml(RTX_3060)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    (card,) = probe_accelerators(HOST)
    assert (card.name, card.kind, card.memory.gib, card.free.gib) == ("NVIDIA GeForce RTX 3060", "cuda", 12, 11)
    assert card.bandwidth == pytest.approx(360e9, rel=0.001) and card.link == pytest.approx(31.5e9, rel=0.001)
    assert not card.unified and not nvml.open


def test_a_device_without_memory_of_its_own_shares_the_machines(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(ORIN))
    (device,) = probe_accelerators(HOST)
    assert (device.name, device.unified, device.memory, device.free) == ("Orin", True, HOST.total, HOST.free)
    assert device.bandwidth is None and device.link is None


def test_a_device_that_was_lost_hides_no_other(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(LOST, RTX_3060))
    assert [device.name for device in probe_accelerators(HOST)] == ["NVIDIA GeForce RTX 3060"]


def test_without_the_library_there_is_none(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert probe_accelerators(HOST) == ()


@pytest.mark.gpu
def test_a_real_device_is_described() -> None:
    found = probe_accelerators(HOST)
    if not found:
        pytest.skip("no NVIDIA device here")
    assert all(0 < device.free <= device.memory and device.bandwidth for device in found)
