"""The layout, read off the sources: packages, circles of imports, file sizes, what `import pyrepsim` costs.

Which package may import which is a contract in pyproject.toml, checked by `make lint` (import-linter).
"""

from __future__ import annotations

import ast
import io
import statistics
import subprocess
import sys
import tokenize
from pathlib import Path

import grimp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pyrepsim"
HEAVY = {
    "accelerate",
    "cupy",
    "dask",
    "datasets",
    "huggingface_hub",
    "jinja2",
    "jsonargparse",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "torch",
    "transformers",
}

MOST_PACKAGES = 18
MAX_LINES = 400
IMPORT_SECONDS = 0.1


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Groups of modules of which each imports, directly or not, every other one."""
    modules = sorted(graph.modules)
    place = {module: i for i, module in enumerate(modules)}
    arrows = [(place[a], place[b]) for a in modules for b in graph.find_modules_directly_imported_by(a)]
    rows, columns = zip(*arrows, strict=True)
    matrix = coo_array(([1] * len(arrows), (rows, columns)), shape=(len(modules), len(modules)))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups: dict[int, list[str]] = {}
    for module, label in zip(modules, labels, strict=True):
        groups.setdefault(int(label), []).append(module)
    return [group for group in groups.values() if len(group) > 1]


def test_no_file_imports_itself_by_way_of_others():
    graph = grimp.build_graph("pyrepsim", exclude_type_checking_imports=True, cache_dir=None)
    assert len(graph.modules) > 100, "the graph is empty: the test would prove nothing"
    assert circles(graph) == []


def test_a_circle_is_found():
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [["a", "b", "c"]]


def test_there_are_at_most_18_packages_and_no_loose_modules():
    packages = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    assert 10 < len(packages) <= MOST_PACKAGES
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "version"}


def test_only_backends_imports_the_compiled_modules():
    def names_engine(path: Path) -> bool:
        names = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        names |= {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
                  for alias in node.names}  # fmt: skip
        return bool(names & {"_core", "_cuda", "pyrepsim._core", "pyrepsim._cuda"})

    importers = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if names_engine(path)}
    assert importers == {"backends"}


def sources(*tops: str, kinds: str) -> list[Path]:
    return [path for top in tops for path in (ROOT / top).rglob("*") if path.suffix in kinds.split()]


CPP = ".h .hpp .cpp .cu .cuh"


def code_lines(path: Path) -> int:
    """Lines of a Python file that are no docstring, comment or blank line."""
    source = path.read_text(encoding="utf-8")
    strings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    used = {line for t in tokens if t.type not in ignored for line in range(t.start[0], t.end[0] + 1)}
    return len(used - strings)


def test_files_hold_one_idea_each():
    sizes = {path: len(path.read_bytes().splitlines()) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    median, small = statistics.median(sizes.values()), sum(size < 40 for size in sizes.values())
    total = sum(map(code_lines, PACKAGE.rglob("*.py")))
    print(f"{len(sizes)} files, median {median} lines, {small} under 40 lines, {total} lines of code")
    assert 80 <= median <= 250
    assert small < 25


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


def test_windows_gets_a_clear_error():
    code = "import os; os.name = 'nt'\ntry: import pyrepsim\nexcept ImportError as error: print(error)"
    assert "Use the Windows Subsystem for Linux" in run_python(code)
