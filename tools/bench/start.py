"""How long until something is on the screen: `accel --help`, and a warm `accel chat --prompt` to its first token.

python tools/bench/start.py [--runs 10]. Prints a JSON line each: seconds, median and worst.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pairs import report

ACCEL = str(Path(sys.executable).with_name("accel"))


def first_byte(command: list[str]) -> float:
    """Seconds from start to the first byte on stdout; the process is then left to finish."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        if not process.stdout.read(1):
            raise SystemExit(f"no output from: {' '.join(command)}")
        seconds = time.perf_counter() - start
        process.stdout.read()
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=10)
    runs = options.parse_args().runs
    for what, command in (
        ("help", [ACCEL, "--help"]),
        ("first token, warm", [ACCEL, "chat", "--prompt", "Tell me a story about a cat."]),
    ):
        first_byte(command)
        seconds = [first_byte(command) for _ in range(runs)]
        report(what=what, median=statistics.median(seconds), worst=max(seconds), runs=runs)


if __name__ == "__main__":
    main()
