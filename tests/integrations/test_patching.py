"""Replacing functions of another library: where, for how long, and for which versions."""

from __future__ import annotations

import importlib.machinery
import logging
import pickle
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import DegenerateError, HostVersionError, MissingExtraError
from pyrepsim.integrations import calls, fallbacks, patching
from pyrepsim.integrations.patching import Host, NotCovered


def double(x: Any) -> Any:
    """What the library computes."""
    if x is None:
        raise ValueError("the library's own error")
    return ("theirs", 2 * x)


class Model:
    def fit(self, x: Any) -> Any:
        return ("theirs", x)


def adapter(x: Any) -> Any:
    if x == "odd":
        raise NotCovered("odd input")
    if x is None:
        raise DegenerateError("not defined for None.")
    return ("ours", 2 * x)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A library of one function and one class, and a program that has bound the function to a name of its own."""
    library, program = ModuleType("library"), ModuleType("program")
    library.double, library.Model = double, Model  # type: ignore[attr-defined]
    program.twice = double  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.setitem(sys.modules, "program", program)
    library.__spec__ = importlib.machinery.ModuleSpec("library", None)
    monkeypatch.setattr(patching.importlib.metadata, "version", lambda _: "1.5")
    for counter in (calls, fallbacks):
        for name in ("library.double", "library.Model.fit"):
            counter.pop(name, None)
    return library


def host(versions: str = ">=1,<2") -> Host:
    return Host("library", versions, {"library.double": adapter, "library.Model.fit": lambda _self, x: ("ours", x)})


def test_every_name_is_replaced_and_restored(library):
    program, fit = sys.modules["program"], Model.fit
    with patching.patched(host(), any_version=False):
        assert library.double(1) == program.twice(1) == ("ours", 2)
        assert Model().fit(1) == ("ours", 1)
        assert library.double.__name__ == "double"
        late = ModuleType("late")
        late.own = library.double  # type: ignore[attr-defined] - imported while the library is patched
        sys.modules["late"] = late
    try:
        assert library.double is program.twice is late.own is double
    finally:
        del sys.modules["late"]
    assert Model.fit is fit


def test_an_error_in_the_block_restores_the_names(library):
    with pytest.raises(KeyError), patching.patched(host(), any_version=False):
        raise KeyError
    assert library.double is double


def test_blocks_may_be_nested(library):
    one = host()
    with patching.patched(one, any_version=False):
        with patching.patched(one, any_version=False):
            assert library.double(1)[0] == "ours"
        assert library.double(1)[0] == "ours"
    assert library.double is double


def test_blocks_of_threads_may_overlap(library):
    one, first_ends, second_inside = host(), threading.Event(), threading.Event()

    def second() -> None:
        with patching.patched(one, any_version=False):
            second_inside.set()
            first_ends.wait(10)
            found.append(library.double(1)[0])

    found: list[str] = []
    thread = threading.Thread(target=second)
    with patching.patched(one, any_version=False):
        thread.start()
        assert second_inside.wait(10)
    first_ends.set()
    thread.join()
    assert found == ["ours"]
    assert library.double is double


def test_calls_that_are_not_covered_go_to_the_library(library, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING), patching.patched(host(), any_version=False):
        assert library.double(1) == ("ours", 2)
        for _ in range(2):
            assert library.double("odd") == ("theirs", "oddodd")
        with pytest.raises(ValueError, match="the library's own error"):  # it decides about degenerate input
            library.double(None)
    assert calls["library.double"] == 4
    assert fallbacks["library.double"] == 3
    assert [record.getMessage() for record in caplog.records] == [
        "library.double: pyrepsim does not cover odd input; the library's own function is called (logged once)"
    ]


def test_what_pyrepsim_calls_is_the_librarys_own(library):
    own = Host("library", ">=1", {"library.double": lambda x: ("ours", library.double(x))})
    with patching.patched(own, any_version=False):
        assert library.double(1) == ("ours", ("theirs", 2))
        assert library.double(1) == ("ours", ("theirs", 2))


def test_a_patched_function_is_pickled_by_its_name():
    from pyrepsim.integrations import scipy as integration

    distance = pytest.importorskip("scipy.spatial.distance")
    with integration.patched(any_version=True):
        data = pickle.dumps(distance.pdist)
        assert pickle.loads(data) is distance.pdist
    assert pickle.loads(data) is distance.pdist


def test_versions_that_were_not_tested_are_refused(library):
    with (
        pytest.raises(HostVersionError, match=r"versions >=2: 1\.5 is installed"),
        patching.patched(host(">=2"), any_version=False),
    ):
        pass
    assert library.double is double
    with patching.patched(host(">=2"), any_version=True):
        assert library.double(1)[0] == "ours"


def test_a_library_that_is_not_installed_is_named():
    with (
        pytest.raises(MissingExtraError, match="pip install 'no-such-library>=1'"),
        patching.patched(Host("no-such-library", ">=1", {"no_such_library.f": adapter}), any_version=False),
    ):
        pass


def test_a_library_that_is_not_on_pypi_is_named_by_its_address():
    lacking = Host("no-such-library", ">=1", {"no_such_library.f": adapter}, address="git+https://host/library")
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'git\+https://host/library'"),
        patching.patched(lacking, any_version=False),
    ):
        pass


def test_searchlights_need_rsatoolbox(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    from pyrepsim.integrations.rsatoolbox import searchlight_rdms

    monkeypatch.setitem(sys.modules, "rsatoolbox", None)
    with pytest.raises(MissingExtraError, match="pip install 'rsatoolbox"):
        searchlight_rdms(rng.standard_normal((4, 6)), [0], [[0, 1, 2]], [0, 1, 2, 3])


def _distances_in_a_worker(rows: np.ndarray) -> tuple[np.ndarray, int]:
    from scipy.spatial.distance import pdist

    import pyrepsim.integrations

    with pyrepsim.integrations.scipy.patched(any_version=True):
        from scipy.spatial import distance

        return distance.pdist(rows), pyrepsim.integrations.calls["scipy.spatial.distance.pdist"] + (pdist is None)


def test_workers_are_patched_in_the_function_that_they_run(rng: np.random.Generator):
    joblib, distance = pytest.importorskip("joblib"), pytest.importorskip("scipy.spatial.distance")
    rows = rng.standard_normal((20, 5))
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(_distances_in_a_worker)(rows) for _ in range(2))
    for values, n_calls in found:
        np.testing.assert_allclose(values, distance.pdist(rows), rtol=1e-12)
        assert n_calls >= 1


def test_a_library_that_lacks_a_function_is_left_as_it_was(library):
    lacking = Host("library", ">=1", {"library.double": adapter, "library.no_such_function": adapter})
    with (
        pytest.raises(HostVersionError, match="needs its function library.no_such_function"),
        patching.patched(lacking, any_version=False),
    ):
        pass
    assert library.double is double


def test_a_class_of_a_library_that_is_not_installed_cannot_be_made():
    class Ours(patching.base_class("no_such_library.Class", "no-such-library")):
        pass

    with pytest.raises(MissingExtraError, match="pip install 'no-such-library'"):
        Ours(1, name="x")
