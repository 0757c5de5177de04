"""How much of the machine models may use: what is sensible at the mains, less on a battery. Pure but for one look."""

import psutil

from ..search import BALANCED, ECO


def power_now(wanted: str, on_battery: bool) -> str:
    """A goal's power for a setting's, which may be "auto"."""
    if wanted == "auto":
        return ECO if on_battery else BALANCED
    return wanted


def on_battery() -> bool:
    """Whether this machine lives on a battery now; machines without one never do."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError):  # a system that cannot tell
        return False
    return battery is not None and battery.power_plugged is False
