"""What a machine is: processors, accelerators, memory and disks, as measured or as written on a card."""

import hashlib
from dataclasses import dataclass

import msgspec

from ..units import Bytes, Rate, from_json, to_json

_PAGE = Bytes(4096)


@dataclass(frozen=True, slots=True)
class Processor:
    name: str
    cores: int  # physical cores that this process may use
    threads: int  # logical processors that this process may use
    features: tuple[str, ...] = ()  # instruction sets that matter to a kernel: avx2, avx512_vnni, neon, ...
    bandwidth: tuple[Rate, ...] = ()  # memory read rate with 1, 2, ... threads


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: str
    kind: str  # "cuda", "metal", "vulkan", ...
    memory: Bytes
    free: Bytes
    bandwidth: Rate | None = None
    link: Rate | None = None  # between host memory and this device
    unified: bool = False  # shares the machine's memory


@dataclass(frozen=True, slots=True)
class Memory:
    total: Bytes  # what this process may use at most: the machine's, or its control group's
    free: Bytes  # available now without pushing anything out
    limited_by: str = ""  # "cgroup v2 ..." where a limit below the machine's own holds


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    total: Bytes
    free: Bytes
    read: Rate | None = None  # direct reads, several in flight
    direct: bool = False  # whether direct reads work there


@dataclass(frozen=True, slots=True)
class Machine:
    """Frozen; to and from JSON. `sources` says where each fact of a card is from."""

    name: str
    processor: Processor
    memory: Memory
    accelerators: tuple[Accelerator, ...] = ()
    disks: tuple[Disk, ...] = ()
    page: Bytes = _PAGE
    can_move_pages: bool = False
    can_read_directly: bool = False  # past the system's cache
    sources: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Names the hardware, not its momentary state: what is measured is cached under it."""
        facts = (
            self.processor.name,
            self.processor.cores,
            self.processor.threads,
            self.processor.features,
            [(a.name, int(a.memory)) for a in self.accelerators],
        )
        return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:16]

    def to_json(self) -> bytes:
        return to_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> "Machine":
        """Raises msgspec.ValidationError where the text is not a machine."""
        return from_json(data, cls)
