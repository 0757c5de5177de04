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
    experts.add_argument("--only-file", action="store_true", help="do not measure what the stand-ins cost")
    experts.add_argument("--text", type=Path, metavar="FILE",
                         help="measure it on this text (default: on what the model writes itself)")  # fmt: skip
    return parser


def _experts(given: argparse.Namespace) -> int:
    from .measured import text_of, up_to_date

    text = text_of(given.text) if given.text else ""  # before minutes are spent
    out = up_to_date(given.model, given.out)
    if out:
        print(f"{out}: up to date", flush=True)
    else:
        out = _export(given)
    if not given.only_file:
        _measure(given.model, out, text)
    return 0


def _export(given: argparse.Namespace) -> Path:
    from .experts import export_experts

    with _progress(f"reading {given.model.name}") as show:
        made = export_experts(given.model, given.out, show)
    print(f"{made.path}: {made.size}")
    for format, (low, whole) in made.reads.items():
        print(f"{format}: a stand-in reads {low / whole:.0%} of its expert")
    for (name, format), loss in sorted(made.losses.items()):
        print(f"{name} in {format}: relative squared error {loss.share:.4f}", flush=True)
    return made.path


def _measure(model: Path, stand_ins: Path, text: str) -> None:
    from ..runtime.learn_quality import learn_quality
    from .measured import told

    with _progress(f"measuring {stand_ins.name}") as show:

        def tell(doing: str, done: float) -> bool:
            show(done, doing)
            return True

        found = learn_quality(model, stand_ins, text, progress=tell)
    for line in told(stand_ins, found):
        print(line)


@contextmanager
def _progress(what: str) -> Iterator[Callable[..., None]]:
    """Shows how much is done, and in other words what."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=1)

        def show(done: float, doing: str = what) -> None:
            bar.update(task, completed=done, description=doing)

        yield show


if __name__ == "__main__":
    sys.exit(main())
