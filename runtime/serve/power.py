"""How much of the machine models may use: all of it at the mains, less on a battery. Pure but for one look."""

from typing import Literal, TypeAlias

import psutil

Power: TypeAlias = Literal["eco", "balanced", "full"]


def power_now(wanted: str, on_battery: bool) -> Power:
    """`wanted` is a setting's: one of these, or "auto"."""
    if wanted == "eco" or (wanted == "auto" and on_battery):
        return "eco"
    return "full" if wanted == "full" else "balanced"


def threads_of(power: Power, cores: int, threads: int) -> int | None:
    """Threads that compute, of a processor with so many cores and hardware threads; None leaves it to the plan. With
    half of the cores a laptop stays cool and its fans quiet, and decoding, which waits for memory, is hardly slower."""
    return {"eco": max(1, cores // 2), "balanced": None, "full": threads}[power]


def on_battery() -> bool:
    """Whether this machine lives on a battery now; machines without one never do."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError):  # a system that cannot tell
        return False
    return battery is not None and battery.power_plugged is False
