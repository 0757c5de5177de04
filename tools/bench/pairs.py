"""Two contestants measured in alternation, and the ratio between them with its interval."""

import json
import math
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version

PACKAGES = ("accel-runtime", "llama-cpp-python", "numpy", "pyzmq", "msgspec", "llguidance")


@dataclass(frozen=True, slots=True)
class Ratio:
    """Geometric mean of ours/theirs over pairs, with a bootstrap 95% interval; above 1 is in our favour. A tenth of
    the pairs is left out at either end: what a neighbour on the machine does in bursts is no part of either."""

    ratio: float
    low: float
    high: float
    pairs: int
    all: float  # with none left out


def ratio_of(ours: list[float], theirs: list[float], starts: int = 1, draws: int = 4000) -> Ratio:
    """`ours` and `theirs` are rates (more is better), pair by pair; so many starts of both gave as many pairs each.

    Where memory falls at a start can decide more than all that follows, so starts are drawn, and pairs of those."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    each = len(logs) // starts
    groups = [logs[start * each : (start + 1) * each] for start in range(starts)]
    pick = random.Random(0)
    drawn = (pick.choices(groups, k=starts) if starts > 1 else groups for _ in range(draws))
    means = sorted(_middle([log for group in chosen for log in pick.choices(group, k=each)]) for chosen in drawn)
    low, high = means[int(0.025 * draws)], means[int(0.975 * draws)]
    found = (_middle(logs), low, high, sum(logs) / len(logs))
    ratio, low, high, mean = map(math.exp, found)
    return Ratio(ratio, low, high, len(logs), mean)


def _middle(logs: list[float]) -> float:
    """Their mean, without a tenth at either end."""
    out = len(logs) // 10
    kept = sorted(logs)[out : len(logs) - out]
    return sum(kept) / len(kept)


def alternate(ours: Callable[[], float], theirs: Callable[[], float], pairs: int) -> tuple[list[float], list[float]]:
    """Runs both in turn, the first place changing with every pair; one unmeasured round warms both."""
    ours()
    theirs()
    a: list[float] = []
    b: list[float] = []
    for i in range(pairs):
        if i % 2:
            b.append(theirs())
            a.append(ours())
        else:
            a.append(ours())
            b.append(theirs())
    return a, b


def until_known(
    ours: Callable[[], float], theirs: Callable[[], float], least: int, seconds: float, within: float
) -> tuple[list[float], list[float]]:
    """At least so many pairs, and more until the ratio's interval reaches no further than `within` to either side or so
    many seconds have passed. How wide it is ends this, never where it lies."""
    began = time.perf_counter()
    mine, others = alternate(ours, theirs, least)
    while time.perf_counter() - began < seconds:
        found = ratio_of(mine, others)
        if found.high / found.low <= (1 + within) ** 2:
            break
        more = alternate(ours, theirs, least)
        mine += more[0]
        others += more[1]
    return mine, others


def environment() -> dict[str, object]:
    """What a figure needs beside it: the command, the versions, the processor."""
    return {
        "command": "python " + " ".join(sys.argv),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "processor": platform.processor() or platform.machine(),
    }


def report(**figures: object) -> None:
    """One JSON line on stdout."""
    plain = {key: asdict(value) if isinstance(value, Ratio) else value for key, value in figures.items()}
    print(json.dumps(plain | environment()), flush=True)
