"""The rules of the house: imports go down, files stay small, the pure parts stay pure."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["devices", "offload", "runtime", "exporters"]  # each may import those before it
PURE = [
    *("runtime/plan.py", "runtime/search.py", "runtime/reasons.py", "runtime/footprint.py", "runtime/expert_costs.py"),
    "runtime/costs.py",
    "runtime/speculation.py",
    "runtime/drafting/reading.py",
    *("runtime/quality.py", "runtime/thresholds.py", "runtime/drafting/payoff.py", "runtime/drafting/fit.py"),
    *("runtime/schedule.py", "runtime/messages.py", "runtime/figures.py", "runtime/drafting/bounds.py"),
    *("runtime/prefix.py", "runtime/chances.py", "runtime/shares.py", "runtime/opening.py", "runtime/serve/line.py"),
    *("offload/policy.py", "offload/quotas.py", "offload/slots.py", "runtime/drafting/edits.py"),
    *("offload/predict.py", "offload/replay.py", "offload/curves.py", "offload/fit.py", "offload/compare.py"),
]
HEAVY = {"torch", "numpy", "llama_cpp", "rich", "huggingface_hub", "llguidance", "jinja2", "zmq"}

FILES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, relative ones resolved to `accel...`."""
    package = ["accel", *path.relative_to(ROOT).parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_house(path):
    floor = FLOORS.index(path.relative_to(ROOT).parts[0])
    above = [f"accel.{name}." for name in FLOORS[floor + 1 :]]
    assert not [name for name in imports(path) if name.startswith(tuple(above))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_one_thing_in_about_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", PURE)
def test_the_pure_parts_import_no_engine(name):
    assert not {module.split(".")[0] for module in imports(ROOT / name)} & {"torch", "llama_cpp", "zmq", "os", "socket"}


def test_the_front_door_loads_nothing_heavy():
    code = "import sys, accel, accel.runtime.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_the_front_of_a_chat_leaves_numbers_and_engines_to_its_worker():
    code = "import sys, accel.runtime.chat.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "llama_cpp", "llguidance"} & set(loaded)


def test_every_package_of_the_house_is_listed_for_installation():
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {"accel"} | {
        "accel." + ".".join(path.parent.relative_to(ROOT).parts) for path in FILES if path.name == "__init__.py"
    }
    assert set(listed) == there
