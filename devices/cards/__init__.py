"""Machines one may plan for without having them, each a TOML file that says where its facts are from."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ...errors import UsageError
from ...units import Bytes, Rate
from ..machine import Accelerator, Disk, Machine, Memory, Processor

_FOLDER = Path(__file__).parent
_Count = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A table of a card: a key it does not know is an error."""


class _Bandwidth(_Strict):
    one: Rate  # read by one thread
    all: Rate  # read by all threads together

    def per_threads(self, threads: int) -> tuple[Rate, ...]:
        return (*(min(Rate(n * self.one), self.all) for n in range(1, threads)), self.all)


class _Processor(_Strict):
    name: str
    cores: _Count
    threads: _Count
    features: tuple[str, ...]
    bandwidth: _Bandwidth


class _Memory(_Strict):
    total: Bytes
    free: Bytes


class _Accelerator(_Strict):
    name: str
    kind: str
    memory: Bytes
    free: Bytes
    bandwidth: Rate
    link: Rate | None = None
    unified: bool = False


class _Disk(_Strict):
    path: str
    total: Bytes
    free: Bytes
    read: Rate
    direct: bool


class _Card(_Strict):
    name: str
    page: Bytes
    can_move_pages: bool
    can_read_directly: bool
    processor: _Processor
    memory: _Memory
    disks: list[_Disk]
    sources: dict[str, str]  # part of the card, "processor.bandwidth" say, to the document that says so
    accelerators: list[_Accelerator] = []


def card_names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load_card(name: str) -> Machine:
    """The machine on a card. Raises UsageError for a name without a card."""
    names = card_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        known = f"the nearest is {near[0]} of" if near else "there are"
        raise UsageError(f"there is no machine card '{name}'", f"{known} {', '.join(names)}")
    return read_card((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def read_card(text: str) -> Machine:
    """The machine that a card's text describes. Raises UsageError where a key is unknown, missing or makes no sense."""
    try:
        card = msgspec.convert(tomllib.loads(text), _Card, dec_hook=_typed)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"the machine card is damaged: {error}", "see the cards that ship with accel") from error
    machine = _machine(card)
    _check(machine)
    return machine


def _typed(kind: type, value: Any) -> Any:
    if kind is Bytes and isinstance(value, str):
        return Bytes.parse(value)
    if kind is Rate and isinstance(value, int | float) and 0 < value < 1e15:
        return Rate(value)
    raise ValueError(f"{value!r} is no {'size' if kind is Bytes else 'rate'}")


def _machine(card: _Card) -> Machine:
    chip, memory = card.processor, card.memory
    return Machine(
        name=card.name,
        processor=Processor(
            chip.name, chip.cores, chip.threads, chip.features, chip.bandwidth.per_threads(chip.threads)
        ),
        memory=Memory(memory.total, memory.free),
        accelerators=tuple(Accelerator(**msgspec.structs.asdict(part)) for part in card.accelerators),
        disks=tuple(Disk(**msgspec.structs.asdict(part)) for part in card.disks),
        page=card.page,
        can_move_pages=card.can_move_pages,
        can_read_directly=card.can_read_directly,
        sources=tuple(f"{part}: {document}" for part, document in card.sources.items()),
    )


def _check(machine: Machine) -> None:
    """Raises UsageError where the facts contradict one another."""
    chip = machine.processor
    sizes = [("memory", machine.memory.free, machine.memory.total)]
    sizes += [(a.name, a.free, a.memory) for a in machine.accelerators]
    sizes += [(d.path, d.free, d.total) for d in machine.disks]
    wrong = [f"more is free than there is: {what}" for what, free, total in sizes if free > total]
    if chip.cores > chip.threads:
        wrong.append(f"{chip.cores} cores cannot have {chip.threads} threads")
    if wrong:
        raise UsageError(f"the machine card is damaged: {wrong[0]}", "see the cards that ship with accel")
