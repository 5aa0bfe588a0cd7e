"""Run the tests of other libraries with pyrepsim underneath: `python -m tests.clients [--sources FOLDER] [NAME ...]`.

Each library gets a virtual environment in build/clients. Its tests run twice, without and with the patch, and our tests
of the classes that pyrepsim has for it run once. The exit status is 1 if their results differ, if pyrepsim is called in
fewer tests than before, if a test of ours fails, or if the compiled engine cannot be imported. Tests that are not on
PyPI are checked out from GitHub, or taken from `--sources FOLDER`, which has a folder for each library.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "clients"
_SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


@dataclass(frozen=True)
class Suite:
    """The tests of a library."""

    requirements: tuple[str, ...]
    tests: tuple[str, ...] = ()
    """Arguments of pytest, in `source` if there is one; {site} is where the library is installed."""
    touched: int = 0
    """In how many tests pyrepsim is called, at least."""
    ours: tuple[str, ...] = ()
    """Arguments of pytest for our tests of what pyrepsim has for the library; {ours} is our folder of tests."""
    passed: int = 0
    """How many of ours pass, at least."""
    without_dependencies: tuple[str, ...] = ()
    source: str = ""
    """``sdist:NAME==VERSION``, or ``git:ADDRESS@TAG``."""
    path: str = "."
    """The folder of a git source that its tests import from."""
    patch: str = ""
    """The module of pyrepsim.integrations that is used, if it has another name than the library."""


SUITES = {
    "scipy": Suite(
        requirements=("scipy==1.17.1", "hypothesis"),
        tests=("--pyargs", "scipy.spatial.tests.test_distance"),
        touched=364,
    ),
    "sklearn": Suite(
        requirements=("scikit-learn==1.9.1",),
        tests=(
            "--pyargs",
            *("sklearn.metrics.tests.test_pairwise", "sklearn.neighbors.tests.test_graph"),
            "sklearn.neighbors.tests.test_neighbors_pipeline",
        ),
        touched=113,
    ),
    "mne_rsa": Suite(
        requirements=("mne", "nibabel", "scikit-learn", "joblib"),
        without_dependencies=("mne-rsa==1.0",),  # the others draw brains
        source="sdist:mne-rsa==1.0",
        tests=tuple(f"tests/test_{name}.py" for name in ("folds", "rdm", "rsa", "searchlight")),
        touched=28,
    ),
    "rsatoolbox": Suite(
        requirements=("rsatoolbox==0.3.2", "parameterized"),
        source="git:https://github.com/rsagroup/rsatoolbox@v0.3.2",
        tests=tuple(
            f"tests/test_{name}.py"
            for name in (
                *("calc_rdm", "calc_unbalanced", "compare_rdm", "rdm", "inference", "searchlight", "noise_ceiling"),
                *("crossval", "model", "util_rdm"),
            )
        ),
        touched=126,
    ),
    "netrep": Suite(
        requirements=("scikit-learn", "tqdm"),
        source="git:https://github.com/ahwillia/netrep@main",
        tests=("tests",),
        touched=25,
    ),
    "brainscore": Suite(
        requirements=(
            *("numpy<2", "pandas<3", "xarray<2022.6", "scikit-learn<1.6", "importlib-metadata<5", "networkx", "peewee"),
            *("psycopg2-binary", "fire", "pybtex", "boto3", "gitpython", "requests", "netCDF4", "Pillow", "h5py"),
            *("psutil", "result-caching", "pytest-check", "PyYAML"),
        ),
        without_dependencies=("brainscore_core==2.5.0", "brainscore_vision==2.4.2"),  # torchvision is not needed
        tests=tuple(f"{{site}}/brainscore_vision/metrics/{name}/test.py" for name in ("cka", "rdm")),
        touched=6,
    ),
    "torchmetrics": Suite(
        requirements=("torchmetrics==1.9.0", "torch==2.13.0", "cachier", "matplotlib"),
        source="git:https://github.com/Lightning-AI/torchmetrics@v1.9.0",
        path="tests",
        ours=(
            *("-p", "unittests.conftest"),
            *("{ours}/clients/torchmetrics_tester.py", "{ours}/integrations/test_torchmetrics.py"),
        ),
        passed=87,
    ),
    "sentence_transformers": Suite(
        requirements=("sentence-transformers[train]==6.2.0", "torch==2.13.0"),
        source="git:https://github.com/huggingface/sentence-transformers@v6.2.0",
        tests=(
            *("tests/util/test_retrieval.py", "tests/util/test_similarity.py"),
            *("-k", "not test_paraphrase_mining and not even_and_odd_sparse"),  # those need models of the hub
        ),
        touched=1,
        ours=("{ours}/integrations/test_sentence_transformers.py",),
        passed=25,
    ),
    "scanpy": Suite(
        requirements=("scanpy==1.11.5", "pynndescent==0.5.13", "pytest-mock", "session-info2", "dask"),
        source="git:https://github.com/scverse/scanpy@1.11.5",
        tests=(
            *("-p", "testing.scanpy._pytest", "--import-mode=importlib"),
            *("tests/test_neighbors.py", "tests/test_neighbors_common.py", "tests/test_neighbors_key_added.py"),
        ),
        touched=15,
        patch="sklearn",
    ),
    "scib_metrics": Suite(
        requirements=("scib-metrics==0.5.10", "harmonypy"),
        source="sdist:scib-metrics==0.5.10",
        tests=tuple(f"tests/test_{name}.py" for name in ("neighbors", "benchmarker")),
        touched=12,
    ),
    "thingsvision": Suite(
        requirements=(
            *("torch==2.13.0", "torchvision==0.28.0", "open_clip_torch==3.3.0", "timm==1.0.31", "ftfy", "h5py"),
            *("imageio", "matplotlib", "numba", "pandas", "scikit-image", "scikit-learn", "transformers"),
        ),
        # a dependency of its TensorFlow has other versions than ours
        without_dependencies=("thingsvision==2.7.3", "torchtyping==0.1.5", "typeguard==2.13.3"),
        source="git:https://github.com/ViCCo-Group/thingsvision@master",
        tests=("tests/test_rest.py", "-k", "RSA or CKA"),  # the others extract features
        touched=2,
    ),
    "mteb": Suite(
        requirements=("mteb==2.26.24", "torch==2.13.0", "faiss-cpu==1.15.1"),
        source="git:https://github.com/embeddings-benchmark/mteb@2.26.24",
        tests=("tests/test_search_index",),
        touched=6,
        ours=("{ours}/integrations/test_mteb.py",),
        passed=47,
    ),
    "calibrated_similarity": Suite(
        requirements=("calibrated-similarity==0.1.1", "torch==2.13.0"),
        ours=("{ours}/integrations/test_calibrated_similarity.py",),
        passed=18,
    ),
    "resi": Suite(
        requirements=("torch==2.13.0", "einops", "loguru", "scikit-learn", "scipy"),
        source="git:https://github.com/mklabunde/resi@main",
        ours=("{ours}/integrations/test_resi.py",),
        passed=210,
    ),
    "similarity": Suite(
        requirements=(
            *("torch==2.13.0", "einops", "loguru", "scikit-learn", "scipy", "matplotlib", "pydantic", "requests"),
            *("gitpython", "seaborn", "numba", "rsatoolbox==0.3.2", "POT", "fastprogress", "torchmetrics"),
            "repsim==0.1.5",
        ),
        without_dependencies=("torchtyping", "typeguard==2.13.3"),
        source="git:https://github.com/nacloos/similarity-repository@main",
        ours=("{ours}/integrations/test_similarity.py",),
        passed=11,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SUITES], default=[], metavar="NAME")
    parser.add_argument("--sources", type=Path)
    chosen = parser.parse_args()
    return max(_check(name, SUITES[name], chosen.sources) for name in chosen.names or SUITES)


def _check(name: str, suite: Suite, sources: Path | None) -> int:
    try:
        python = _environment(name, suite)
        folder = _source(name, suite, sources)
    except subprocess.CalledProcessError as error:  # the other libraries are still tested
        print(f"{name}: FAILS, because this did: {' '.join(map(str, error.cmd))}", flush=True)
        return 1
    results = []
    if suite.tests:
        plain, _ = _run(python, name, suite, folder, "plain", suite.tests)
        patched, touched = _run(python, name, suite, folder, "patched", suite.tests)
        print(f"{name}: {plain} without, {patched} with pyrepsim, called in {touched} tests", flush=True)
        results.append(patched == plain and touched >= suite.touched)
    if suite.ours:
        counts, _ = _run(python, name, suite, folder, "ours", suite.ours)
        print(f"{name}: {counts} of ours", flush=True)
        passed = re.fullmatch(r"(\d+) passed(, \d+ skipped)?", counts)
        results.append(passed is not None and int(passed[1]) >= suite.passed)
    print(f"{name}: {'ok' if all(results) else 'FAILS'}", flush=True)
    return 0 if all(results) else 1


def _environment(name: str, suite: Suite) -> Path:
    folder = FOLDER / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        try:
            _pip(python, *suite.requirements, *base, "pytest>=8.2")
            if suite.without_dependencies:
                _pip(python, "--no-deps", *suite.without_dependencies)
        except subprocess.CalledProcessError:
            shutil.rmtree(folder)  # half an environment would be taken for a whole one
            raise
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def _source(name: str, suite: Suite, sources: Path | None) -> Path:
    kind, _, what = suite.source.partition(":")
    if not kind:
        return FOLDER
    if sources is not None and (sources / name).is_dir():
        return (sources / name).resolve()
    folder = FOLDER / "sources" / name
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    if kind == "git":
        address, _, tag = what.rpartition("@")
        subprocess.run(["git", "clone", "-q", "--depth", "1", "--branch", tag, address, folder], check=True)
    else:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", what]
        subprocess.run([*pip, "--dest", folder], check=True)
        (archive,) = folder.glob("*.tar.gz")
        subprocess.run(["tar", "xzf", archive, "--strip-components=1", "-C", folder], check=True)
    return folder


def _run(python: Path, name: str, suite: Suite, folder: Path, kind: str, arguments: Sequence[str]) -> tuple[str, int]:
    """Run tests in a folder; return what pytest counts, and in how many tests pyrepsim was called."""
    plug_in = Path(__file__).parent  # libraries may have a package `tests` too
    path = [folder / suite.path] if suite.source.startswith("git") else []
    paths = os.pathsep.join(map(str, [ROOT, plug_in, *path]))
    patch = (suite.patch or name) if kind == "patched" else ""
    environment = {**os.environ, "PYTHONPATH": paths, "PYREPSIM_CLIENT": patch, "MPLBACKEND": "Agg"}
    plug_ins = [] if kind == "plain" else ["-p", "counting"]
    options = [
        "-q",
        *plug_ins,
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "-o",
        f"cache_dir={FOLDER / 'pytest_cache'}",
    ]
    named = [word.format(site=python.parents[1] / _SITE, ours=ROOT / "tests") for word in arguments]
    command = [str(python), "-m", "pytest", *options, *named]
    with tempfile.TemporaryDirectory() as cache:  # of the results of references, by torchmetrics
        environment |= {"USE_PYTEST_POOL": "1", "PYTEST_REFERENCE_CACHE": cache}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    log = FOLDER / f"{name}-{kind}.log"
    log.write_text(done.stdout + done.stderr)
    counted = re.findall(r"^(?:=* ?)((?:\d+ \w+(?:, )?)+) in [\d.]+", done.stdout, re.M)
    touched = re.search(r"^touched (\d+)", done.stdout, re.M)
    counts = re.sub(r",? \d+ warnings?", "", counted[-1]) if counted else f"no result (see {log})"
    return counts, int(touched[1]) if touched else 0


if __name__ == "__main__":
    sys.exit(main())
