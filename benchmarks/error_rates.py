"""How often tests and intervals err: simulations with fixed seeds, whose truth is known.

    python -m benchmarks.error_rates                      # all of them: some hours on two cores
    python -m benchmarks.error_rates size --draws 200     # one of size, best, coverage; fewer draws

Rows resemble each other within documents. Each cell of the tables in error-rates.md is one file in
benchmarks/results/error-rates; a cell that was finished with as many draws is not run again.

* size: `permutation_test` at 5 %, of two sides that are unrelated, for documents of equal and unequal lengths.
* best: the same for the best of 13 layers (`p_best`).
* coverage: intervals at 95 %, of the value of infinitely many documents (the population), and of the mean value at this
  number of rows (the expectation), which differ for biased measures. Rows are normal, or heavy-tailed with documents
  that differ in length, in size and in how much the sides differ.
"""

from __future__ import annotations

import argparse
import json
import logging
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


Sample = tuple[np.ndarray, np.ndarray, np.ndarray]
"""X, Y and the document of each row."""


def _related(rng: np.random.Generator, of_row: np.ndarray, shared: Any, own: Any, spread: Any = 1.0) -> Sample:
    """X of a part that documents share and one of each row; Y of X and of two such parts of its own.

    `shared` and `own` draw the parts of X, and `spread` is the size of Y's own parts in each row.
    """
    n, k = len(of_row), int(of_row[-1]) + 1
    width = shared(1).shape[1]
    parts = _model(width)
    X = shared(k)[of_row] @ parts["u"] + own(n) @ parts["e"]
    noise = rng.standard_normal((k, width))[of_row] @ parts["v"] + rng.standard_normal((n, width)) @ parts["w"]
    return X, X @ parts["r"] + spread * noise, of_row


def _normal(rng: np.random.Generator, documents: int, width: int) -> Sample:
    """Documents of 15 to 35 rows, all parts normal."""
    of_row = np.repeat(np.arange(documents), rng.integers(15, 36, documents))

    def draw(n: int) -> np.ndarray:
        return rng.standard_normal((n, width))

    return _related(rng, of_row, draw, draw)


def _heavy(rng: np.random.Generator, documents: int, width: int) -> Sample:
    """Documents of lognormal length (median 20), size and difference of the sides; t of 5; a feature they share."""
    lengths = np.maximum(2, rng.lognormal(3, 0.6, documents)).astype(int)
    of_row = np.repeat(np.arange(documents), lengths)
    size, spread = (np.exp(rng.normal(0, sd, documents))[of_row, None] for sd in (0.5, 0.7))

    def draw(n: int) -> np.ndarray:
        return rng.standard_t(5, (n, width))

    X, Y, _ = _related(rng, of_row, draw, draw, spread / size)
    return size * X + 3 * rng.standard_normal(documents)[of_row, None] * (np.arange(width) == 0), size * Y, of_row


DATA = {"normal": _normal, "heavy": _heavy}


@cache
def population(width: int, data: str) -> dict[str, float]:
    """The values of infinitely many documents: means over samples of many of them."""
    rng = np.random.default_rng([4, width])
    samples = []
    for _ in range(40):
        X, Y, of_row = DATA[data](rng, 1000, width)
        samples.append([score.value for score in rs.compare(X, Y, list(UNBIASED), documents=of_row)])
    return dict(zip(UNBIASED, map(float, np.mean(samples, axis=0)), strict=True))


def coverage(seed: int, *, documents: int, width: int, data: str) -> dict[str, Any]:
    """Value and default interval of each measure."""
    rng = np.random.default_rng([5, documents, width, seed])
    X, Y, of_row = DATA[data](rng, documents, width)
    scores = rs.compare(X, Y, [*UNBIASED, *BIASED], documents=of_row, interval="Jackknife")
    return {score.measure: [score.value, *score.interval] for score in scores}


SIMULATIONS: dict[str, tuple[Callable[..., dict[str, Any]], int, list[dict[str, Any]]]] = {
    "size": (size, 2000, [{"documents": k, "lengths": kind} for k in (40, 400) for kind in LENGTHS]),
    "best": (best, 1000, [{"documents": 40, "lengths": kind} for kind in ("equal", "unequal")]),
    "coverage": (
        coverage,
        2000,
        [{"documents": k, "width": d, "data": "normal"} for k in (40, 200) for d in (24, 64, 256)]
        + [{"documents": k, "width": 24, "data": "heavy"} for k in (8, 12, 16, 20, 40, 200)],
    ),
}


def run(name: str, cell: dict[str, Any], draws: int, workers: int) -> dict[str, Any]:
    """Run one cell, or read it if it has as many draws; return its summary."""
    path = _path(name, cell)
    if path.exists() and (saved := json.loads(path.read_text(encoding="utf-8")))["draws"] >= draws:
        return saved
    simulate, _, _ = SIMULATIONS[name]
    # Draws have seeds of their own: any number of workers gives the same.
    with ProcessPoolExecutor(workers, initializer=_without_warnings) as pool:
        results = list(pool.map(partial(simulate, **cell), range(draws), chunksize=max(1, draws // (20 * workers))))
    summary = {"simulation": name, **cell, "draws": draws, **_summary(name, cell, results)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _without_warnings() -> None:
    """Of few documents, which each draw would repeat."""
    logging.getLogger("pyrepsim.comparison").setLevel(logging.ERROR)


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
            rates[measure]["of the population"] = _within(values, population(cell["width"], cell["data"])[measure])
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
    yield "| interval at 95 % | rows | documents | features | draws | " + " | ".join(f"`{m}`" for m in measures) + " |"
    yield "| --- | --- | --- | --- | --- |" + " --- |" * len(measures)
    for of in ("of the population", "of the expectation"):
        for one in summaries:
            if one["simulation"] == "coverage":
                rates = [f"{found[of]:.1%}" if of in (found := one["rates"].get(m, {})) else "" for m in measures]
                about = [of, one["data"], one["documents"], one["width"], one["draws"]]
                yield "| " + " | ".join(map(str, [*about, *rates])) + " |"


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
