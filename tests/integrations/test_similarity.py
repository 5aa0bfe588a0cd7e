"""Measures under the standard names of similarity-repository have the values of its own implementations."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import pickle
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import MissingExtraError, OptionError
from pyrepsim.integrations import calls
from pyrepsim.integrations import similarity as integration

pytestmark = pytest.mark.filterwarnings("ignore")

OTHERS = {
    "cca-score": "pyrcca netrep repsim",  # other means of the correlations
    **dict.fromkeys(
        ["svcca-var=0.99-score", "svcca-var=0.95-score", "svcca-dim=10-score"], "pyrcca netrep repsim resi"
    ),
    "svcca-var=0.95-squared_score": "drfrankenstein",  # the mean over the components of X
    "svcca-var=0.99-squared_score": "drfrankenstein",
    "pwcca-score": "contrasim resi rtd svcca",  # weights from directions that are not whitened
    "cka-kernel=(rbf-sigma={sigma})-hsic=song-score": "platonic",  # biased for this kernel
    "jaccard_similarity": "llm_repsim",
    "rsm_norm_difference": "llm_repsim",  # the Frobenius norm
    "soft_correlation_match": "neuroaimetrics",  # a transport plan
    "rsa-rdm=correlation-compare=pearson": "llm_repsim",  # of whole matrices, with their diagonals
}
"""Implementations that have another value, which pyrepsim does not follow."""
BROKEN = "modelsym nnsrm_neurips18"
FLOAT32 = "platonic fsd nn_similarity_index unsupervised_analysis"


def same_value(owner: str, standard: str, shape: tuple[int, int, int]) -> bool:
    """Whether an implementation has the value that pyrepsim has."""
    _, d_x, d_y = shape
    score = re.sub("-distance=.*", "-score", standard)
    if owner in f"pyrepsim {BROKEN} {OTHERS.get(score, '')}".split():
        return False
    if "rbf" in standard and "euclidean" in standard:
        return owner == "thingsvision"  # others: lengths of features of the kernel, in place of those of the data
    if owner == "repsim":
        return d_x == d_y or "cka" in standard  # takes the principal components of the wider side
    if (owner, score.partition("-")[0]) in (("sim_metric", "pwcca"), ("drfrankenstein", "cca")):
        return d_x <= d_y  # counts correlations of 0 for the features that X has more
    return True


def loaded_repository() -> Any:
    """The package `similarity` with those of its parts whose own libraries are there."""
    spec = importlib.util.find_spec("similarity")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "registry"
    registry = ModuleType("similarity.registry")
    registry.__path__ = [str(folder)]
    sys.modules.setdefault("similarity.registry", registry)
    for name in ("torchaudio", "torchaudio.functional"):  # for one measure of `platonic` that is not called here
        stand_in: Any = sys.modules.setdefault(name, ModuleType(name))
        stand_in.__spec__, stand_in.edit_distance = ModuleSpec(name, None), None
    host = importlib.import_module("similarity")
    for part in sorted(folder.iterdir()):
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(f"similarity.registry.{part.name}")
    importlib.import_module("similarity.standardization").register_standardized_measures()
    return host


@pytest.fixture(scope="module")
def repository() -> Any:
    host = loaded_repository()
    if host is None:
        pytest.skip("the package similarity of nacloos/similarity-repository cannot be imported")
    integration.register_all(n_threads=1)
    return host


def pair(n: int, d_x: int, d_y: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d_y)
    X = rng.standard_normal((n, d_x)) + 0.3
    return X, 0.4 * (X @ rng.standard_normal((d_x, d_y)) + rng.standard_normal((n, d_y)))


@pytest.mark.parametrize("shape", [(60, 12, 12), (60, 12, 16), (60, 16, 12), (25, 12, 30)], ids=str)
def test_values_are_those_of_the_repository(repository, shape: tuple[int, int, int]):
    X, Y = pair(*shape)
    compared, wrong = 0, []
    for name, function in repository.make("measure/pyrepsim/*").items():
        standard = name.removeprefix("measure/pyrepsim/")
        for theirs, implementation in repository.make(f"measure/*/{standard}").items():
            owner = theirs.split("/")[1]
            if "poisson" in standard or not same_value(owner, standard, shape):
                continue
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    due = float(implementation(X.copy(), Y.copy()))
            except Exception:  # fewer rows than features, or features of different number
                continue
            tolerance = 1e-4 if owner in FLOAT32.split() or "rbf" in standard or "bures" in standard else 1e-7
            if np.isfinite(due):
                compared += 1
                found = function(X, Y)
                if found != pytest.approx(due, rel=tolerance, abs=tolerance):
                    wrong.append(f"{theirs}: {due}, not {found}")
    assert not wrong, "\n".join(wrong)
    assert compared > 150


def test_poisson(repository):
    X, Y = map(np.abs, pair(40, 9, 7))
    for compared in ("pearson", "cosine", "spearman", "rho_a", "corr_cov"):
        name = f"rsa-rdm=poisson-compare={compared}"
        due = repository.make(f"measure/rsatoolbox/{name}")(X, Y)
        assert repository.make(f"measure/pyrepsim/{name}")(X, Y) == pytest.approx(due, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "owner", "given"),
    [
        ("shape_metric-alpha={alpha}-distance=angular", "netrep", {"alpha": 0.3}),
        ("shape_metric-alpha={alpha}-distance=euclidean", "netrep", {"alpha": 0.3}),
        ("cka-kernel=(rbf-sigma={sigma})-hsic=gretton-score", "thingsvision", {"sigma": 4.0}),
        ("mutual_knn-topk={topk}", "platonic", {"topk": 4}),
    ],
)
def test_parameters(repository, name: str, owner: str, given: dict[str, Any]):
    X, Y = pair(60, 12, 12)
    found = repository.make(f"measure/pyrepsim/{name}")
    assert found(X, Y, **given) != pytest.approx(found(X, Y), rel=1e-3)
    if f"measure/{owner}/{name}" not in repository.registration.registry:
        pytest.skip(f"{owner} cannot be imported")
    due = float(repository.make(f"measure/{owner}/{name}")(X, Y, **given))
    assert found(X, Y, **given) == pytest.approx(due, rel=1e-6)


def test_other_parameters_are_refused(repository):
    with pytest.raises(OptionError, match="alpha"):
        repository.make("measure/pyrepsim/procrustes-score")(*pair(60, 12, 12), alpha=0.3)


def test_choices_of_value(repository):
    X, Y = pair(60, 12, 12)
    names = [name.removeprefix("measure/pyrepsim/") for name in repository.make("measure/pyrepsim/*")]
    for wanted in ("procrustes", "nbs", "cca", "svcca-var=0.99", "cka-kernel=linear-hsic=song"):
        for choice in ("score", "distance=angular", "distance=euclidean", "distance=squared_euclidean"):
            assert f"{wanted}-{choice}" in names
    angle = repository.make("measure/pyrepsim/cka-kernel=linear-hsic=gretton-distance=angular")
    assert angle(X, Y) == pytest.approx(np.arccos(rs.compare(X, Y, rs.LinearCKA()).value))  # type: ignore[union-attr]
    assert angle(X, X) == 0
    assert repository.make("measure/pyrepsim/procrustes-distance=euclidean")(X, X) == pytest.approx(0, abs=1e-5)


class StandIn(ModuleType):
    """As much of the repository as `register_all` uses."""

    transforms: tuple[()] = ()
    compositions: tuple[()] = ()

    def __init__(self) -> None:
        super().__init__("similarity")
        self.known: dict[str, Any] = {}
        self.registration = ModuleType("registration")
        self.registration.__dict__["DERIVED_MEASURES"] = {}

    def register(self, name: str, function: Any) -> None:
        self.known[name] = function

    def derive_measures(self, measures: dict[str, Any], transforms: Any, compositions: Any) -> dict[str, Any]:
        assert transforms == compositions == ()
        return {f"{name}-derived": function for name, function in measures.items()}


def test_what_is_registered(monkeypatch):
    host = StandIn()
    monkeypatch.setitem(sys.modules, "similarity", host)
    monkeypatch.setitem(sys.modules, "similarity.standardization", host)
    names = integration.register_all(n_threads=1)
    assert names == sorted(host.known)
    assert len(names) == 2 * len(host.registration.__dict__["DERIVED_MEASURES"])
    X, Y = map(np.abs, pair(40, 12, 11))
    for name in names:
        before = sum(calls.values())
        value = pickle.loads(pickle.dumps(host.known[name]))(X, Y)
        assert isinstance(value, float), name
        assert np.isfinite(value), name
        assert sum(calls.values()) == before + 1
    assert host.known["measure/pyrepsim/cka-kernel=linear-hsic=lange-score"](X, Y) == (
        rs.compare(X, Y, rs.RV2(), precision="fp64").value  # type: ignore[union-attr]
    )


def test_without_the_repository(monkeypatch):
    monkeypatch.setitem(sys.modules, "similarity", None)
    with pytest.raises(MissingExtraError, match="similarity-repository"):
        integration.register_all()
