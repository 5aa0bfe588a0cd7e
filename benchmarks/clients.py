"""What other tools compute, and the same by pyrepsim: the rows of bench_clients.py.

A row is a label and a function that makes the data and returns two calls without arguments, ours and theirs, whose
results are the same numbers. It raises ImportError if the tool is not installed. A function of the tool is called
through `pyrepsim.integrations` where there is an adapter.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

import pyrepsim as rs

__all__ = ["ACTIVE", "ROWS"]

Call = Callable[[], Any]
Row = tuple[str, Callable[[], tuple[Call, Call]]]


ACTIVE = ExitStack()
"""The patches of the row that runs."""


def patched(tool: str, function: str, *arguments: Any, **options: Any) -> tuple[Call, Call]:
    """One call of a function of a tool, with pyrepsim underneath and without."""
    place, _, name = function.rpartition(".")
    owner = importlib.import_module(place)
    ACTIVE.enter_context(importlib.import_module(f"pyrepsim.integrations.{tool}").patched())
    call = getattr(owner, name)

    suspended = importlib.import_module("pyrepsim.integrations.patching").suspended

    def theirs() -> Any:
        with suspended():
            return call(*arguments, **options)

    return lambda: call(*arguments, **options), theirs


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def numpy() -> Iterator[Row]:
    X, Y = normal(100, 16), normal(100, 12, seed=1)

    def cka() -> float:
        x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))

    def cca() -> float:
        x, y = (np.linalg.qr(rows - rows.mean(axis=0))[0] for rows in (X, Y))
        return np.linalg.svd(x.T @ y, compute_uv=False).mean()

    yield "LinearCKA 100 x 16", lambda: (lambda: float(rs.compare(X, Y, rs.LinearCKA())), cka)
    yield "CCA 100 x 16", lambda: (lambda: float(rs.compare(X, Y, rs.CCA())), cca)


def scipy() -> Iterator[Row]:
    pdist = "scipy.spatial.distance.pdist"
    for n, d in ((2000, 768), (500, 300), (200, 100)):
        yield f"pdist correlation {n} x {d}", lambda n=n, d=d: patched("scipy", pdist, normal(n, d), "correlation")

    def single() -> tuple[Call, Call]:
        X = normal(2000, 768).astype(np.float32)
        return lambda: rs.pdist(X, "correlation"), lambda: pkgutil.resolve_name(pdist)(X, "correlation")

    yield "pdist correlation 2000 x 768, ours in float32", single

    def small(metric: str) -> tuple[Call, Call]:
        X, ours = normal(50, 100), {"cityblock": "manhattan"}.get(metric, metric)
        return lambda: rs.pdist(X, ours, precision="fp64"), lambda: pkgutil.resolve_name(pdist)(X, metric)

    for metric in ("correlation", "euclidean", "sqeuclidean", "cityblock"):
        yield f"pdist {metric} 50 x 100", lambda metric=metric: small(metric)

    def sets(metric: str, precision: str) -> tuple[Call, Call]:
        X, own = normal(10_000, 50, 100), pkgutil.resolve_name(pdist)
        return (
            lambda: rs.rdm(X, metric, precision=precision, square=False),
            lambda: [own(rows, metric) for rows in X],
        )

    def lists() -> tuple[Call, Call]:
        X, own = normal(50, 20_000), pkgutil.resolve_name(pdist)
        columns = [np.sort(np.random.default_rng(k).choice(20_000, 100, replace=False)) for k in range(10_000)]
        return (
            lambda: rs.rdm(X, "correlation", features=columns, precision="fp64", square=False),
            lambda: [own(X[:, of_set], "correlation") for of_set in columns],
        )

    for metric in ("correlation", "euclidean"):
        yield f"10,000 RDMs of 50 x 100, {metric}", lambda metric=metric: sets(metric, "fp64")
    yield "10,000 RDMs of 50 x 100, correlation, ours in float32", lambda: sets("correlation", "fp32")
    yield "10,000 RDMs of 50 x 100 by lists of features", lists

    def mahalanobis() -> tuple[Call, Call]:
        X, residuals = normal(1000, 200), normal(600, 200, seed=1)
        noise, own = residuals.T @ residuals / 600, pkgutil.resolve_name(pdist)
        return (
            lambda: rs.rdm(X, "euclidean", noise=noise, precision="fp64", square=False),
            lambda: own(X, "mahalanobis", VI=np.linalg.inv(noise)),
        )

    yield "pdist mahalanobis with noise 1000 x 200", mahalanobis

    def correlation(name: str, size: int) -> tuple[Call, Call]:
        a, b = normal(size), normal(size, seed=1)
        own = {"spearman": "spearmanr", "kendall": "kendalltau"}[name]
        function = getattr(importlib.import_module("scipy.stats"), own)
        return lambda: rs.compare_rdms(a, b, name), lambda: function(a, b).statistic

    for name in ("spearman", "kendall"):
        for size in (1225, 1_999_000):
            yield f"{name} of two RDMs of {size} entries", lambda name=name, size=size: correlation(name, size)


def rsatoolbox() -> Iterator[Row]:
    def distances(rows: Any, method: str, descriptors: Any = None, **options: Any) -> tuple[Call, Call]:
        make = importlib.import_module("rsatoolbox.data").Dataset
        data = [make(one, obs_descriptors=descriptors) for one in rows]
        options |= {"descriptor": "c", "cv_descriptor": "f"} if descriptors else {}
        calls = patched("rsatoolbox", "rsatoolbox.rdm.calc_rdm", data, method, **options)
        return lambda: calls[0]().dissimilarities, lambda: calls[1]().dissimilarities

    yield "calc_rdm correlation 2000 x 768", lambda: distances([normal(2000, 768)], "correlation")
    for method in ("euclidean", "correlation"):
        label = f"calc_rdm {method} of 100 data sets of 50 x 100"
        yield label, lambda method=method: distances(normal(100, 50, 100), method)
    for conditions, folds, channels in ((300, 8, 500), (60, 8, 200)):

        def crossnobis(conditions: int = conditions, folds: int = folds, channels: int = channels) -> tuple[Call, Call]:
            cells = {"c": np.tile(np.arange(conditions), folds), "f": np.repeat(np.arange(folds), conditions)}
            return distances([normal(conditions * folds, channels)], "crossnobis", cells)

        yield f"crossnobis {conditions} x {folds} x {channels}", crossnobis

    def compare(method: str) -> tuple[Call, Call]:
        make = importlib.import_module("rsatoolbox.rdm").RDMs
        sides = [make(rs.rdm(normal(50, 50, 60, seed=seed), "sqeuclidean", square=False)) for seed in (0, 1)]
        return patched("rsatoolbox", "rsatoolbox.rdm.compare", *sides, method)

    for method in ("cosine", "corr", "cosine_cov", "corr_cov", "spearman", "rho-a", "tau-a", "kendall", "bures"):
        yield f"compare {method}, 50 x 50 RDMs of 50", lambda method=method: compare(method)

    def searchlights() -> tuple[Call, Call]:
        columns = [np.random.default_rng(k).choice(10_000, 100, replace=False) for k in range(10_000)]
        calls = patched(
            "rsatoolbox",
            "rsatoolbox.util.searchlight.get_searchlight_RDMs",
            *(normal(50, 10_000), np.arange(10_000), columns, np.arange(50)),
        )
        return lambda: calls[0]().dissimilarities, lambda: calls[1]().dissimilarities

    yield "get_searchlight_RDMs correlation, 10,000 of 50 x 100", searchlights

    def unbalanced(method: str) -> tuple[Call, Call]:
        rng = np.random.default_rng(0)
        labels = {"c": np.append(np.arange(40), rng.integers(0, 40, 260)), "f": rng.integers(0, 6, 300)}
        data = importlib.import_module("rsatoolbox.data").Dataset(rng.poisson(4.0, (300, 100)), obs_descriptors=labels)
        options = {"descriptor": "c", "cv_descriptor": "f" if method == "crossnobis" else None}
        calls = patched("rsatoolbox", "rsatoolbox.rdm.calc_rdm_unbalanced", data, method, **options)
        return lambda: calls[0]().dissimilarities, lambda: calls[1]().dissimilarities

    for method in ("euclidean", "correlation", "crossnobis", "poisson"):
        yield f"calc_rdm_unbalanced {method} 300 x 100", lambda method=method: unbalanced(method)

    def bootstrap(name: str, method: str) -> tuple[Call, Call]:
        model, host = importlib.import_module("rsatoolbox.model").ModelFixed, importlib.import_module("rsatoolbox.rdm")
        data, rows = (rs.rdm(normal(k, 40, 30, seed=k), "sqeuclidean", precision="fp64") for k in (10, 3))
        models = [model(str(k), row) for k, row in enumerate(rows)]
        options = {"method": method, "N": 40}
        calls = patched("rsatoolbox", f"rsatoolbox.inference.{name}", models, host.RDMs(data), **options)

        def seeded(call: Call) -> np.ndarray:
            np.random.seed(0)  # noqa: NPY002 - the random numbers of rsatoolbox
            return call().evaluations

        return lambda: seeded(calls[0]), lambda: seeded(calls[1])

    for name in ("eval_bootstrap", "eval_bootstrap_pattern", "eval_bootstrap_rdm", "eval_dual_bootstrap"):
        for method in ("corr", "cosine", "spearman", "rho-a", "tau-a", "corr_cov"):
            label = f"{name} {method}, 40 samples of 3 models and 10 RDMs of 40"
            yield label, lambda name=name, method=method: bootstrap(name, method)


def mne_rsa() -> Iterator[Row]:
    def patches(metric: str, folds: int) -> tuple[Call, Call]:
        importlib.import_module("mne_rsa")
        model = rs.pdist(normal(50, 8, seed=1), "euclidean", precision="fp64")
        where = [(slice(None), np.arange(start, start + 100)) for start in range(0, 1_900, 10)]
        options: dict[str, Any] = {"labels_X": np.tile(np.arange(50), folds), "n_folds": folds} if folds > 1 else {}
        options |= {"patches": where, "rsa_metric": metric, "verbose": False}
        return patched("mne_rsa", "mne_rsa.rsa_array", normal(50 * folds, 2_000), model, **options)

    for metric in ("spearman", "pearson", "kendall-tau-a"):
        yield f"rsa_array {metric}, 190 patches of 50 x 100", lambda metric=metric: patches(metric, 1)
    yield "rsa_array spearman, 190 patches of 50 x 100 in two folds", lambda: patches("spearman", 2)


def netrep() -> Iterator[Row]:
    def pairs(k: int, n: int, d: int) -> tuple[Call, Call]:
        metric = importlib.import_module("netrep.metrics").LinearMetric(alpha=1.0, center_columns=True)
        networks = [normal(n, d, seed=seed) for seed in range(k)]
        options = {"verbose": False, "enable_caching": True}
        return patched("netrep", "netrep.multiset.pairwise_distances", metric, networks, **options)

    for k, n, d in ((100, 500, 50), (12, 500, 50), (8, 2000, 256), (40, 100, 16)):
        yield f"all pairs of {k} networks of {n} x {d}", lambda k=k, n=n, d=d: pairs(k, n, d)


def brainscore() -> Iterator[Row]:
    place = "brainscore_vision.metrics.cka.metric"
    for name, label in (("unbiased_linear_CKA", "unbiased CKA"), ("linear_CKA", "CKA")):
        for n, d in ((1000, 10_000), (2000, 500), (1000, 1000)):
            yield (
                f"{label} {n} x {d}",
                lambda name=name, n=n, d=d: patched(
                    "brainscore", f"{place}.{name}", normal(n, d), normal(n, d, seed=1)
                ),
            )


def torchmetrics() -> Iterator[Row]:
    def updates(n: int, d: int) -> tuple[Call, Call]:
        """As many batches as make 8,192 rows: ours sums several small batches at a time."""
        torch = importlib.import_module("torch")
        integration = importlib.import_module("pyrepsim.integrations.torchmetrics")
        x, y = (torch.from_numpy(normal(n, d, seed=seed)).float() for seed in (0, 1))
        metric = integration.RepresentationSimilarity(rs.LinearCKA(), d, d)
        sums = [torch.zeros(d, d, dtype=torch.float64) for _ in range(3)]

        def ours() -> None:
            for _ in range(8192 // n):
                metric.update(x, y)

        def theirs() -> None:
            for _ in range(8192 // n):
                a, b = x.double(), y.double()
                for total, product in zip(sums, (a.T @ a, b.T @ b, a.T @ b), strict=True):
                    total += product

        return ours, theirs

    for n, d in ((4096, 768), (256, 768), (32, 16)):
        yield f"updates {n} x {d}, to the same sums in torch float64", lambda n=n, d=d: updates(n, d)


def sentence_transformers() -> Iterator[Row]:
    def search() -> tuple[Call, Call]:
        own = importlib.import_module("sentence_transformers.util").semantic_search
        torch = importlib.import_module("torch")
        queries, corpus = (normal(n, 384, seed=n).astype(np.float32) for n in (1000, 20_000))
        q, c = torch.from_numpy(queries), torch.from_numpy(corpus)
        return (
            lambda: 1 - rs.knn(queries, 10, "cosine", Y=corpus)[0],
            lambda: [[hit["score"] for hit in hits] for hits in own(q, c, top_k=10)],
        )

    yield "semantic_search 1,000 x 20,000 x 384, top 10", search


RESI = (
    *("AlignedCosineSimilarity", "CKA", "ConcentricityDifference", "DistanceCorrelation", "EigenspaceOverlapScore"),
    *("Gulp", "HardCorrelationMatch", "JaccardSimilarity", "LinearRegression", "MagnitudeDifference"),
    *("OrthogonalAngularShapeMetricCentered", "OrthogonalProcrustesCenteredAndNormalized", "PermutationProcrustes"),
    *("ProcrustesSizeAndShapeDistance", "PWCCA", "RankSimilarity", "RSA", "RSMNormDifference"),
    *("SecondOrderCosineSimilarity", "SoftCorrelationMatch", "SVCCA", "UniformityDifference"),
)
OTHER_VALUES: dict[str, Any] = {"PWCCA": rs.PWCCA(), "SVCCA": rs.SVCCA()}
"""Measures whose values in ReSi are others than those of their papers: docs/integrations/resi.md."""


def resi() -> Iterator[Row]:
    def measure(name: str, n: int, d: int) -> tuple[Call, Call]:
        theirs = importlib.import_module("repsim.measures").ALL_MEASURES[name]
        X, Y = (normal(n, d, seed=seed).astype(np.float32) for seed in (0, 1))
        if own := OTHER_VALUES.get(name):
            return lambda: rs.compare(X, Y, own, precision="fp32").value, lambda: theirs(X, Y, "nd")
        ours = importlib.import_module("pyrepsim.integrations.resi").measures(precision="fp32")[name]
        return lambda: ours(X, Y, "nd"), lambda: theirs(X, Y, "nd")

    for n, d in ((2000, 256), (100, 16)):
        for name in RESI:
            yield f"{name} {n} x {d}, float32", lambda name=name, n=n, d=d: measure(name, n, d)


TOOLS = (numpy, scipy, rsatoolbox, mne_rsa, netrep, brainscore, torchmetrics, sentence_transformers, resi)
ROWS = {f"{tool.__name__}: {label}": make for tool in TOOLS for label, make in tool()}
