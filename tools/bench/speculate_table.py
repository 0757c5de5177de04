"""A table of what `speculate.py measure`, `speculate_simulate.py` and `speculate_llama.py` found, as Markdown.

    python tools/bench/speculate_table.py RESULTS.jsonl [--simulated SIMULATED.jsonl]

Columns: plain decoding in tokens a second; ours against it, with its 95% interval; what an oracle would reach against
plain decoding, simulated with the costs measured for that cell, and ours measured as a share of that, and of the best
fixed setting's (chosen on the other half of the texts); llama.cpp's best setting against its own plain decoding: in
bold type measured, else its drafters that need no model simulated, with the best setting in hindsight.
"""

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speculate import lines

Key = tuple[str, str, float, bool]


def key_of(line: dict[str, Any]) -> Key:
    return line["model"], line["kind"], line["temperature"], line["replayed"]


def mean(values: Iterable[float]) -> float:
    """Geometric; of nothing, no number."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--simulated", type=Path)
    given = parser.parse_args()
    results = [line for path in given.results for line in lines(path)]
    measured = {key_of(line): line for line in results if line["what"] == "measured"}
    theirs = {key_of(line): line for line in results if line["what"] == "llama.cpp"}
    simulated = {key_of(line): line for line in lines(given.simulated)} if given.simulated else {}
    print("| model | text | T | plain t/s | ours / plain | oracle | share | best fixed | share | llama.cpp | flips |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for key in sorted(measured):
        print(_row(key, measured[key], simulated.get(key), theirs.get(key)))
    print(_means(measured, simulated, theirs))


def _row(key: Key, ours: dict[str, Any], world: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    model, kind, temperature, replayed = key
    ratio = ours["ratio"]
    cells = [
        model,
        kind + (", replayed" if replayed else ""),
        f"{temperature:g}",
        f"{ours['plain']:.1f}",
        f"{ratio['ratio']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]",
    ]
    if world:
        oracle, fixed = world["oracle"], world["fixed"]
        setting = " ".join(map(str, world["fixed_setting"]))
        cells += [f"{oracle:.3f}", f"{ratio['ratio'] / oracle:.3f}", f"{fixed:.3f} ({setting})"]
        cells.append(f"{ratio['ratio'] / fixed:.3f}")
    else:
        cells += [""] * 4
    if theirs:
        cells.append(f"**{theirs['ratio']['ratio']:.3f}** ({theirs['setting']})")
    else:
        cells.append(f"{world['llama_simulated']:.3f} ({world['llama_setting']})" if world else "")
    cells.append(f"{ours['otherwise']}: {ours['flips']} ({ours['flipped_by']:.3g})" if ours["otherwise"] else "0")
    return f"| {' | '.join(cells)} |"


def _means(
    measured: dict[Key, dict[str, Any]], simulated: dict[Key, dict[str, Any]], theirs: dict[Key, dict[str, Any]]
) -> str:
    ratios = {key: line["ratio"]["ratio"] for key, line in measured.items()}
    worlds = {key: simulated[key] for key in ratios if key in simulated}
    both = {key: theirs[key]["ratio"]["ratio"] for key in ratios if key in theirs}
    guessed = {key: world["llama_simulated"] for key, world in worlds.items() if key not in both}
    low = min((line["ratio"]["low"] for line in measured.values()), default=math.nan)
    said = [f"\nGeometric means: ours / plain {mean(ratios.values()):.3f} over {len(ratios)} cells"]
    said.append(f"lowest lower bound {low:.3f}")
    if worlds:
        shares = [ratios[key] / world["oracle"] for key, world in worlds.items()]
        fixed = [ratios[key] / world["fixed"] for key, world in worlds.items()]
        said.append(f"share of the oracle {mean(shares):.3f} (lowest {min(shares):.3f})")
        said.append(f"share of the best fixed setting {mean(fixed):.3f} (lowest {min(fixed):.3f})")
    for how, found in (("measured", both), ("simulated", guessed)):
        if found:
            mine = mean(ratios[key] for key in found)
            said.append(f"llama.cpp {how} {mean(found.values()):.3f} where ours is {mine:.3f} ({len(found)} cells)")
    return "; ".join(said) + "."


if __name__ == "__main__":
    main()
