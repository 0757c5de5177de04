"""`accel-export`: other files out of a model's."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..runtime.cli import Parser, ShowVersion, command, run


def main(argv: Sequence[str] | None = None) -> int:
    return run(build_parser, argv)


def build_parser() -> Parser:
    """Every command; imports nothing of what the commands do."""
    parser = Parser(prog="accel-export", description="Makes other files out of a model's.")
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    experts = command(commands, "experts", _experts, "stand-ins of a model's experts that take half the reading")
    experts.add_argument("model", type=Path, metavar="MODEL", help="a GGUF file, any of them where it is split")
    experts.add_argument("out", type=Path, nargs="?", metavar="OUT",
                         help="the file to write (default: beside the model, with .low.gguf at its end)")  # fmt: skip
    return parser


def _experts(given: argparse.Namespace) -> int:
    from .experts import export_experts

    with _progress(f"reading {given.model.name}") as show:
        made = export_experts(given.model, given.out, show)
    print(f"{made.path}: {made.size}")
    for format, (low, whole) in made.reads.items():
        print(f"{format}: a stand-in reads {low / whole:.0%} of its expert")
    for (name, format), loss in sorted(made.losses.items()):
        print(f"{name} in {format}: relative squared error {loss.share:.4f}")
    return 0


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=1)

        def show(done: float) -> None:
            bar.update(task, completed=done)

        yield show


if __name__ == "__main__":
    sys.exit(main())
