"""What `accel models` prints and does: the list, verifying, removing. Data on stdout, talk on stderr."""

import json as json_module
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import ModelDamaged, UsageError
from .downloaded import Entry, Library


def run(action: str = "list", name: str | None = None, json: bool = False) -> int:
    """`list`, `verify` (all, or those that `name` means) or `remove`. Raises ModelMissing for a name that is not there,
    ModelDamaged once everything was verified and something was wrong."""
    library = Library()
    if action == "remove":
        if not name:
            raise UsageError("'accel models remove' needs a name", "see `accel models`")
        return _remove(library, library.find(name), json)
    entries = library.find(name) if name else library.entries()
    if action == "verify":
        return _verify(library, entries, json)
    return _list(library, entries, json)


def _list(library: Library, entries: list[Entry], json: bool) -> int:
    if json:
        return _print_json([_facts(entry) for entry in entries])
    if not entries:
        print(f"nothing was downloaded to {library.folder} yet; try accel chat hf:owner/repo", file=sys.stderr)
    for entry in entries:
        state = "" if entry.whole else f"  unfinished: {entry.lacking()} missing"
        print(f"{entry.model.size!s:>10}  {entry.name}{state}")
    return 0


def _facts(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "size": int(entry.model.size),
        "commit": entry.model.commit,
        "whole": entry.whole,
    }


def _print_json(value: object) -> int:
    print(json_module.dumps(value, indent=1))
    return 0


def _verify(library: Library, entries: list[Entry], json: bool) -> int:
    damaged, results = [], []
    for entry in entries:
        with _progress(entry) as show:
            problem = library.problem(entry, show)
        damaged += [entry] if problem else []
        results.append({**_facts(entry), "problem": problem})
        if not json:
            print(f"{entry.name}: {problem or 'sound'}")
    if json:
        _print_json(results)
    if damaged:
        names = ", ".join(entry.name for entry in damaged)
        raise ModelDamaged(
            f"{len(damaged)} of {len(entries)} models damaged: {names}", "remove them and fetch them again"
        )
    return 0


def _remove(library: Library, entries: list[Entry], json: bool) -> int:
    freed = {entry.name: library.remove(entry) for entry in entries}
    if json:
        return _print_json([{"name": name, "freed": int(size)} for name, size in freed.items()])
    for name, size in freed.items():
        print(f"removed {name}: {size} freed")
    return 0


@contextmanager
def _progress(entry: Entry) -> Iterator[Callable[[int], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(entry.model.name, total=entry.model.size)
        yield lambda read: bar.advance(task, read)
