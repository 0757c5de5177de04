"""How many more pieces a process may cut its memory into."""

from pathlib import Path

from .kernel import read_number, read_text

_USUAL = 65_530  # vm.max_map_count where nobody says
_OTHERS = 2_000  # for libraries, threads and buffers that are still to come


def most_mappings(root: Path = Path("/")) -> int:
    """Mappings that this process may still make, beside what it will need otherwise; a guess where the system does not
    say."""
    allowed = read_number(root / "proc/sys/vm/max_map_count") or _USUAL
    present = read_text(root / "proc/self/maps", 1 << 24).count("\n")
    return max(0, allowed - present - _OTHERS)
