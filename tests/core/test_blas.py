"""NumPy's BLAS uses one thread in the with-block, and as many as before afterwards."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import pyrepsim as rs
from pyrepsim.core.blas import one_blas_thread
from pyrepsim.moments.norms import Norms


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_one_thread_inside_and_two_again_outside():
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}
    with pytest.raises(ValueError, match="of the caller"), one_blas_thread():
        raise ValueError("of the caller")
    assert blas_threads() == {2}


def test_contexts_of_two_threads_that_overlap_leave_it_as_it_was():
    entered, first_left = threading.Event(), threading.Event()

    def second():
        with one_blas_thread():
            entered.set()
            first_left.wait(10)

    other = threading.Thread(target=second)
    with one_blas_thread():
        other.start()
        entered.wait(10)
    first_left.set()
    other.join()
    assert blas_threads() == {2}


def test_scoring_of_moments_takes_one_thread(monkeypatch):
    """As threads of BLAS would spin on, beside the next sums, and give other bits on another number of cores."""
    seen, product = [], Norms.product

    def watched(*arguments):
        seen.append(blas_threads())
        return product(*arguments)

    monkeypatch.setattr(Norms, "product", watched)
    moments = rs.PairedMoments(5, 4)
    moments.update(*(np.random.default_rng(0).standard_normal((50, width)) for width in (5, 4)))
    rs.LinearCKA(debiased=True).score(moments)
    rs.compare(*np.random.default_rng(0).standard_normal((2, 50, 5)), rs.LinearCKA(debiased=True))
    assert seen
    assert all(found == {1} for found in seen)
    assert blas_threads() == {2}
