"""How often tests and intervals err: simulations with fixed seeds, whose truth is known.

    python -m benchmarks.error_rates                      # all of them: some hours on two cores
    python -m benchmarks.error_rates size --draws 200     # one of size, best, coverage; fewer draws

Rows resemble each other within documents. Each cell of the tables in error-rates.md is one file in
benchmarks/results/error-rates; a cell that was finished with as many draws is not run again.

* size: `permutation_test` at 5 %, of two sides that are unrelated, for documents of equal and unequal lengths.
* best: the same for the best of 13 layers (`p_best`).
* coverage: intervals at 95 %, of the value of infinitely many documents (the population), and of the mean value at this
  number of rows (the expectation), which differ for biased measures.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYREPSIM_NUM_THREADS", "1")

import numpy as np

import pyrepsim as rs
from benchmarks.table import RESULTS, replace_table
from pyrepsim.core.errors import DegenerateError

FOLDER = RESULTS / "error-rates"
PAGE = Path(__file__).parent / "error-rates.md"
LENGTHS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "equal": lambda _, n: np.full(n, 16),
    "mildly unequal": lambda rng, n: rng.integers(16, 19, n),
    "unequal": lambda rng, n: rng.integers(5, 30, n),
    "wildly unequal": lambda rng, n: np.maximum(1, rng.lognormal(2.3, 1, n)).astype(int),
}
"""Rows of each document: 16; 16 to 18; 5 to 29; lognormal with median 10."""
TESTED = ("LinearCKA(debiased=True)", "RSA")
UNBIASED = ("DocumentCKA", "DocumentRSA")
BIASED = ("LinearCKA", "SVCCA", "Procrustes")
LAYERS = 13


def size(seed: int, *, documents: int, lengths: str) -> dict[str, Any]:
    """Whether a test at 5 % rejects for two unrelated sides, by measure."""
    rng = np.random.default_rng([1, documents, seed])
    counts = LENGTHS[lengths](rng, documents)
    of_row = np.repeat(np.arange(documents), counts)
    X, Y = (rng.standard_normal((documents, 8))[of_row] + 0.7 * rng.standard_normal((len(of_row), 8)) for _ in "XY")
    try:
        scores = rs.permutation_test(X, Y, TESTED, documents=of_row, n_resamples=99, seed=seed)
    except DegenerateError:
        return {"refused": True}
    return {score.measure: score.details["permutation"]["p"] <= 0.05 for score in scores}


def best(seed: int, *, documents: int, lengths: str) -> dict[str, Any]:
    """Whether the best of 13 layers is found related by a test at 5 %, where none is."""
    rng = np.random.default_rng([2, documents, seed])
    counts = LENGTHS[lengths](rng, documents)
    of_row = np.repeat(np.arange(documents), counts)
    columns = {"doc_id": of_row, "position": np.arange(len(of_row)), "token_id": np.zeros(len(of_row), int)}
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for side in "xy":  # layers of one side resemble each other
            shared = rng.standard_normal((documents, 8))[of_row]
            layers = {f"layer.{i}": shared + rng.standard_normal((len(of_row), 8)) for i in range(LAYERS)}
            sides.append(rs.write_store(Path(folder, side), layers, columns=columns))
        scores = rs.permutation_test(*sides, TESTED[0], n_resamples=99, seed=seed)
    return {TESTED[0]: min(score.details["permutation"]["p_best"] for score in scores) <= 0.05}


@cache
def _model(width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([3, width])
    sd = np.exp(-np.arange(width) / (width / 2))
    return {name: np.linalg.qr(rng.standard_normal((width, width)))[0] * sd[:, None] for name in "uevwr"}


def _related(rng: np.random.Generator, of_row: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """X of a part that documents share and one of each row; Y of X and of two such parts of its own."""
    parts, n, k = _model(width), len(of_row), int(of_row[-1]) + 1
    X = rng.standard_normal((k, width))[of_row] @ parts["u"] + rng.standard_normal((n, width)) @ parts["e"]
    own = rng.standard_normal((k, width))[of_row] @ parts["v"] + rng.standard_normal((n, width)) @ parts["w"]
    return X, X @ parts["r"] + own


@cache
def population(width: int) -> dict[str, float]:
    """The values of infinitely many documents. That of RSA is the mean over samples of independent rows."""
    parts = _model(width)
    xx = parts["u"].T @ parts["u"] + parts["e"].T @ parts["e"]
    xy = xx @ parts["r"]
    yy = parts["r"].T @ xy + parts["v"].T @ parts["v"] + parts["w"].T @ parts["w"]
    values = {"DocumentCKA": float(np.sum(xy**2) / np.sqrt(np.sum(xx**2) * np.sum(yy**2)))}
    rng, samples = np.random.default_rng([4, width]), []
    for _ in range(40):
        X, Y = _related(rng, np.arange(4000), width)
        samples.append(rs.compare(X, Y, rs.DocumentRSA()).value)
    return {**values, "DocumentRSA": float(np.mean(samples))}


def coverage(seed: int, *, documents: int, width: int) -> dict[str, Any]:
    """Value and default interval of each measure."""
    rng = np.random.default_rng([5, documents, width, seed])
    of_row = np.repeat(np.arange(documents), rng.integers(15, 36, documents))
    X, Y = _related(rng, of_row, width)
    scores = rs.compare(X, Y, [*UNBIASED, *BIASED], documents=of_row, interval="Jackknife")
    return {score.measure: [score.value, *score.interval] for score in scores}


SIMULATIONS: dict[str, tuple[Callable[..., dict[str, Any]], int, list[dict[str, Any]]]] = {
    "size": (size, 2000, [{"documents": k, "lengths": kind} for k in (40, 400) for kind in LENGTHS]),
    "best": (best, 1000, [{"documents": 40, "lengths": kind} for kind in ("equal", "unequal")]),
    "coverage": (coverage, 2000, [{"documents": k, "width": d} for k in (40, 200) for d in (24, 64, 256)]),
}


def run(name: str, cell: dict[str, Any], draws: int, workers: int) -> dict[str, Any]:
    """Run one cell, or read it if it has as many draws; return its summary."""
    path = _path(name, cell)
    if path.exists() and (saved := json.loads(path.read_text(encoding="utf-8")))["draws"] >= draws:
        return saved
    simulate, _, _ = SIMULATIONS[name]
    with ProcessPoolExecutor(workers) as pool:  # draws have seeds of their own: any number of workers gives the same
        results = list(pool.map(partial(simulate, **cell), range(draws), chunksize=max(1, draws // (20 * workers))))
    summary = {"simulation": name, **cell, "draws": draws, **_summary(name, cell, results)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _path(name: str, cell: dict[str, Any]) -> Path:
    label = "-".join(str(value).replace(" ", "-") for value in cell.values())
    return FOLDER / f"{name}-{label}.json"


def _summary(name: str, cell: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    done = [result for result in results if "refused" not in result]
    if name != "coverage":
        rates = {measure: float(np.mean([one[measure] for one in done])) for measure in done[0]} if done else {}
        return {"refused": len(results) - len(done), "rates": rates}
    rates = {}
    for measure in done[0]:
        values = np.array([one[measure] for one in done])
        rates[measure] = {"of the expectation": _within(values, float(values[:, 0].mean()))}
        if measure in UNBIASED:
            rates[measure]["of the population"] = _within(values, population(cell["width"])[measure])
    return {"rates": rates}


def _within(values: np.ndarray, truth: float) -> float:
    return float(np.mean((values[:, 1] <= truth) & (truth <= values[:, 2])))


def read_summaries() -> list[dict[str, Any]]:
    """The cells that were run, in the order of SIMULATIONS."""
    paths = [_path(name, cell) for name, (_, _, cells) in SIMULATIONS.items() for cell in cells]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def page(summaries: list[dict[str, Any]]) -> str:
    """The tables of all cells, as Markdown."""
    return "\n".join(["", *_page_of_tests(summaries), "", *_page_of_intervals(summaries), ""])


def _page_of_tests(summaries: list[dict[str, Any]]) -> Iterator[str]:
    yield "| test at 5 % | documents | lengths | draws | refused | " + " | ".join(f"`{m}`" for m in TESTED) + " |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in summaries:
        if one["simulation"] != "coverage":
            what = "`p`" if one["simulation"] == "size" else f"`p_best` of {LAYERS} layers"
            rates = [f"{one['rates'][m]:.1%}" if m in one["rates"] else "" for m in TESTED]
            cells = [what, one["documents"], one["lengths"], one["draws"], one["refused"], *rates]
            yield "| " + " | ".join(map(str, cells)) + " |"


def _page_of_intervals(summaries: list[dict[str, Any]]) -> Iterator[str]:
    measures = [*UNBIASED, *BIASED]
    yield "| interval at 95 % | documents | features | draws | " + " | ".join(f"`{m}`" for m in measures) + " |"
    yield "| --- | --- | --- | --- |" + " --- |" * len(measures)
    for of in ("of the population", "of the expectation"):
        for one in summaries:
            if one["simulation"] == "coverage":
                rates = [f"{one['rates'][m][of]:.1%}" if of in one["rates"][m] else "" for m in measures]
                yield "| " + " | ".join(map(str, [of, one["documents"], one["width"], one["draws"], *rates])) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_rates", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SIMULATIONS], default=[], metavar="NAME")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    for name in chosen.names or SIMULATIONS:
        _, draws, cells = SIMULATIONS[name]
        for cell in cells:
            print(json.dumps(run(name, cell, chosen.draws or draws, chosen.workers)), flush=True)
    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), page(read_summaries())), encoding="utf-8")


if __name__ == "__main__":
    main()
