"""The building's rules, read off the sources: floors, heavy imports, file sizes, what the import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pyrepsim"

# A room imports only from lower floors. All know `errors`; only `backends` knows `_core`, the engine.
FLOORS = {
    "errors": 0,
    "blas": 0,
    "calls": 0,
    "hub": 0,
    "version": 0,
    "progress": 0,
    "outputs": 0,
    "units": 0,
    "worker": 0,
    "arrays": 1,
    "results": 1,
    "backends": 2,
    "pairwise": 3,
    "stats": 3,
    "store": 3,
    "measures": 4,
    "comparison": 5,
    "profiling": 5,
    "report": 5,
    "models": 6,
    "tasks": 6,
    "recipes": 6,
    "training": 7,
    "extraction": 7,
    "probes": 7,
    "studies": 8,
    "integrations": 8,
    "cli": 9,
    "__main__": 10,
}
FACE = "__init__"  # the package's own front door, for the rooms that speak the public language
FACE_FLOOR = 8
TORCH_FREE = 5  # floors 0 to 5 never import these, not even inside a function
TORCH = {"torch", "transformers", "datasets", "accelerate"}
HEAVY = TORCH | {
    "cupy",
    "dask",
    "huggingface_hub",
    "jinja2",
    "jsonargparse",
    "matplotlib",
    "pandas",
    "pyarrow",
}
# Scores.plot and Scores.html draw themselves: results are the only ones to look upward, inside the method.
LAZY_UPWARD = {("results", "report")}

MAX_LINES = 400
IMPORT_SECONDS = 0.1


@dataclass(frozen=True)
class Import:
    """One imported module: its absolute name, and where it stands."""

    module: str
    where: str
    inside_function: bool
    for_typing_only: bool


def imports_of(path: Path, root: Path = ROOT) -> Iterator[Import]:
    """Every import of a file, at any depth, under its absolute name (``from a import b`` gives ``a.b``)."""
    package = path.relative_to(root).parent.parts

    def walk(node: ast.AST, inside_function: bool, typing_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            names: list[str] = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                base = list(package[: len(package) - child.level + 1]) if child.level else []
                base += child.module.split(".") if child.module else []
                names = [".".join([*base, alias.name]) for alias in child.names]
            for name in names:
                yield Import(name, f"{path.relative_to(root)}:{child.lineno}", inside_function, typing_only)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from walk(child, inside_function or function, typing_only or guard)

    return walk(ast.parse(path.read_text(encoding="utf-8")), False, False)


def room_of(path: Path, package: Path = PACKAGE) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def complaint(room: str, item: Import) -> str | None:
    """What is wrong with this import in this room, or None."""
    floor = FLOORS.get(room, -1)
    lazy = item.inside_function or item.for_typing_only
    top, *rest = item.module.split(".")
    if top in TORCH and room != FACE and floor <= TORCH_FREE and not item.for_typing_only:
        return f"{room} is on floor {floor}, and {top} begins above floor {TORCH_FREE}"
    if top in HEAVY and (room == FACE or floor <= TORCH_FREE) and not lazy:
        return f"{top} is heavy: import it inside the function that needs it"
    target = rest[0] if rest else FACE
    if top != "pyrepsim" or target in (room, "errors"):
        return None
    if room == FACE:
        return f"the face imports {target} lazily" if FLOORS.get(target, 0) > TORCH_FREE and not lazy else None
    if target == "_core":
        return None if room == "backends" else f"only backends knows the engine, not {room}"
    if target not in FLOORS:
        return f"{room} stands below the face: {item.module}" if floor < FACE_FLOOR else None
    if FLOORS[target] < floor or (item.inside_function and (room, target) in LAZY_UPWARD):
        return None
    return f"{room} (floor {floor}) imports {target} (floor {FLOORS[target]})"


def violations(package: Path = PACKAGE) -> list[str]:
    """Every import that breaks a floor: where, and why."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for item in imports_of(path, package.parent):
            if problem := complaint(room_of(path, package), item):
                found.append(f"{item.where}: {problem}")
    return found


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {FACE}
    assert rooms <= FLOORS.keys(), "give each new room a floor in FLOORS"


def test_rooms_import_only_from_lower_floors():
    assert violations() == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("arrays.py", "from .stats import moments", "arrays (floor 1) imports stats (floor 3)"),
        ("store/reader.py", "from ..stats.moments import M", "store (floor 3) imports stats (floor 3)"),
        (
            "report/figures.py",
            "def f():\n    import pyrepsim.comparison",
            "report (floor 5) imports comparison (floor 5)",
        ),
        ("results.py", "from .report import figures", "results (floor 1) imports report (floor 5)"),
        ("measures/cca.py", "from .. import _core", "only backends knows the engine"),
        ("arrays.py", "def f():\n    import torch", "torch begins above floor 5"),
        ("report/tables.py", "import pandas as pd", "pandas is heavy"),
        ("stats/moments.py", "from pyrepsim import compare_models", "below the face"),
        ("__init__.py", "from .extraction import extract", "imports extraction lazily"),
        ("__init__.py", "import torch", "torch is heavy"),
    ],
)
def test_a_broken_floor_is_found(tmp_path: Path, file: str, source: str, complaint: str):
    path = tmp_path / "pyrepsim" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (found,) = violations(tmp_path / "pyrepsim")
    assert complaint in found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("results.py", "def f():\n    from .report import figures"),
        ("backends/cpu.py", "from .. import _core\nfrom ..errors import ShapeError\nfrom . import reference"),
        ("report/tables.py", "def f():\n    import pandas as pd"),
        ("models/encoder.py", "import torch\nfrom pyrepsim.store import reader"),
        ("cli.py", "import pyrepsim as rs\nfrom pyrepsim import extract"),
    ],
)
def test_a_kept_floor_is_left_alone(tmp_path: Path, file: str, source: str):
    path = tmp_path / "pyrepsim" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert violations(tmp_path / "pyrepsim") == []


def sources(*tops: str, kinds: str) -> list[Path]:
    return [path for top in tops for path in (ROOT / top).rglob("*") if path.suffix in kinds.split()]


CPP = ".h .hpp .cpp .cu .cuh"


def test_no_file_is_longer_than_400_lines():
    files = sources("pyrepsim", "csrc", "tests", "benchmarks", kinds=f".py .pyi {CPP}")
    lines = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in files}
    assert {path: n for path, n in lines.items() if n > MAX_LINES} == {}


def test_only_the_bindings_know_python():
    files = [path for path in sources("csrc", kinds=CPP) if "bindings" not in path.parts]
    assert files, "no C++ sources found: the test would prove nothing"
    words = ("pybind11", "Python.h", "PyObject")
    assert [str(path) for path in files if any(word in path.read_text() for word in words)] == []


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def test_import_pyrepsim_loads_nothing_heavy():
    code = "import sys, pyrepsim; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    assert HEAVY & set(run_python(code).split()) == set()


def test_import_pyrepsim_adds_less_than_100_ms_to_numpy():
    code = "import time, numpy; t = time.perf_counter(); import pyrepsim; print(time.perf_counter() - t)"
    seconds = []
    for _ in range(10):  # the best of several: a busy machine only ever adds to the time
        seconds.append(float(run_python(code)))
        if seconds[-1] < IMPORT_SECONDS:
            break
    assert min(seconds) < IMPORT_SECONDS
