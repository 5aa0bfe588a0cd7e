"""RDMs over samples of their items, and noise ceilings, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError
from pyrepsim.pairwise import RDMSampler
from tests.helpers import references_resampled as reference
from tests.helpers.backends import EVERY
from tests.helpers.rdm_stacks import RDM_ENTRIES as P
from tests.helpers.rdm_stacks import RDM_ITEMS as N
from tests.helpers.rdm_stacks import rdms

LINEAR = ["pearson", "cosine", "corr_cov", "cosine_cov"]
RANKED = ["spearman", "rho-a", "tau-a", "tau-b", "kendall"]
ITEMS = [0, 8, 2, 2, 5, 5, 5, 7, 1]


def tied(count: int, seed: int) -> np.ndarray:
    return np.round(rdms(count, seed), 0)


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_similarities_of_samples(compare):
    data, models = tied(5, 0), tied(2, 1)
    found = RDMSampler(data, models, compare).sample(ITEMS).similarities
    for m, model in enumerate(models):
        for r, rdm in enumerate(data):
            (x, keep), (y, _) = reference.sampled(model, ITEMS), reference.sampled(rdm, ITEMS)
            assert found[m, r] == pytest.approx(reference.similarity(compare, x, y, keep), rel=0, abs=1e-12)
    assert np.ptp(found) > 1e-3


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
@pytest.mark.parametrize("items", [None, ITEMS])
@pytest.mark.parametrize("groups", [None, [3, 0, 0, 3, 1], [2, 2, 2, 2, 2]])
@pytest.mark.parametrize("counts", [None, [2, 1, 0, 1, 3], [0, 0, 0, 2, 0]])
def test_noise_ceilings(compare, items, groups, counts):
    data = tied(5, 2)
    data[3] += tied(1, 3)[0] * 2  # groups are not alike
    found = RDMSampler(data, compare=compare, groups=groups).sample(items).ceilings(counts)
    assert all(type(bound) is float for bound in found)
    entries = [reference.sampled(rdm, np.arange(N) if items is None else items) for rdm in data]
    times = np.repeat(np.arange(5), [1] * 5 if counts is None else counts)
    labels = np.arange(5) if groups is None else np.array(groups)
    expected = reference.noise_ceiling([entries[k][0] for k in times], labels[times], compare, entries[0][1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert (found[0] == found[1]) == (len(np.unique(labels[times])) == 1)


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_a_sample_of_each_item_once_is_the_comparison_of_rdms(compare):
    data, models = rdms(4, 4), rdms(3, 5)
    expected = rs.compare_rdms(models, data, compare)
    for items in (None, np.random.default_rng(0).permutation(N)):
        found = RDMSampler(data, models, compare).sample(items).similarities
        np.testing.assert_allclose(found, expected, rtol=0, atol=0 if compare in RANKED else 1e-14)


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_what_does_not_change_values(compare):
    data, models = rdms(4, 6), rdms(2, 7)
    sample = RDMSampler(data, models, compare).sample(ITEMS)
    scaled = data * np.array([[1e-3], [1.0], [7.0], [1e5]])
    other = RDMSampler(scaled, models * 3, compare, n_threads=2).sample(ITEMS[::-1])
    np.testing.assert_allclose(other.similarities, sample.similarities, rtol=0, atol=1e-13)
    np.testing.assert_allclose(other.ceilings(), sample.ceilings(), rtol=0, atol=1e-13)
    squares = [np.array([reference.square(v) for v in stack]) for stack in (data, models)]
    np.testing.assert_array_equal(RDMSampler(*squares, compare).sample(ITEMS).similarities, sample.similarities)
    mixed = RDMSampler(scaled + np.arange(4.0)[:, None] * data[::-1], models, compare).sample(ITEMS)
    assert np.abs(mixed.similarities - sample.similarities).max() > 1e-3  # a negative control


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("compare", ["spearman", "tau-b"])
def test_ranks_of_every_backend(backend, compare):
    data, models = tied(3, 8), tied(2, 9)
    expected = RDMSampler(data, models, compare, backend="cpu").sample(ITEMS)
    found = RDMSampler(data, models, compare, backend=backend).sample(ITEMS)
    np.testing.assert_array_equal(found.similarities, expected.similarities)
    assert found.ceilings() == expected.ceilings()


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_entries_that_all_rdms_lack(compare):
    data, models = rdms(4, 10), rdms(2, 11)
    data[:, [3, 20]] = models[:, [3, 20]] = np.nan
    found = RDMSampler(data, models, compare).sample()
    np.testing.assert_allclose(found.similarities, rs.compare_rdms(models, data, compare), rtol=0, atol=1e-13)
    keep = ~np.isnan(data[0])
    expected = reference.noise_ceiling(np.nan_to_num(data), np.arange(4), compare, keep)
    np.testing.assert_allclose(found.ceilings(), expected, rtol=0, atol=1e-12)
    data[1, 5] = np.nan
    with pytest.raises(NonFiniteError, match="NaN at the same entries"):
        RDMSampler(data, models, compare)


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_rdms_without_a_value(compare):
    data, models = rdms(3, 12), rdms(3, 13)
    models[1] = 0.0
    found = RDMSampler(data, models, compare).sample()
    if compare in ("rho-a", "tau-a"):
        np.testing.assert_array_equal(found.similarities[1], 0)
    else:
        assert np.isnan(found.similarities[1]).all()
    assert np.isfinite(found.similarities[[0, 2]]).all()
    assert np.isfinite(found.ceilings()).all()
    if compare not in ("rho-a", "tau-a"):
        data[2] = 0.0
        constant = RDMSampler(data, models, compare).sample()
        assert np.isnan(constant.similarities[:, 2]).all()
        assert np.isnan(constant.ceilings()).all()
        assert np.isfinite(constant.ceilings([1, 1, 0])).all()  # the sample does not have it


@pytest.mark.parametrize("compare", [*LINEAR, *RANKED])
def test_samples_of_one_entry(compare):
    data = rdms(3, 17)
    found = RDMSampler(data, data[:2], compare).sample([4, 1])
    if compare.startswith("cosine"):
        np.testing.assert_allclose(found.similarities, 1, rtol=1e-15)
    else:
        assert np.isnan(found.similarities).all()
        assert np.isnan(found.ceilings()).all()
        with pytest.raises(DegenerateError):
            rs.compare_rdms(data[0, :1], data[1, :1], compare)


def test_a_pool_that_cancels_has_no_similarity():
    one = rdms(1, 14)
    lower, upper = RDMSampler(np.concatenate([one, 5 - one])).sample().ceilings()
    assert lower == pytest.approx(-1)
    assert np.isnan(upper)


def test_wrong_arguments():
    data = rdms(3, 15)
    with pytest.raises(OptionError, match="compare must be one of"):
        RDMSampler(data, compare="bures")
    with pytest.raises(ShapeError, match=f"got {P} and 28 entries"):
        RDMSampler(data, rdms(2, 16, n=8))
    with pytest.raises(ShapeError, match="groups must hold one label for each of the 3 rows"):
        RDMSampler(data, groups=[1, 2])
    sampler = RDMSampler(data)
    for items in ([0.0, 1.0], [[0, 1]]):
        with pytest.raises(OptionError, match="items must be whole numbers"):
            sampler.sample(items)
    with pytest.raises(OptionError, match="items must be from 0 to 8: got -1 to 9"):
        sampler.sample([-1, 9])
    for items in ([3, 3, 3], np.array([], dtype=int)):
        with pytest.raises(ShapeError, match="a sample needs an entry"):
            sampler.sample(items)
    for counts in ([1, 1], [0, 0, 0], [1, -1, 1], [1, np.nan, 1], [1, np.inf, 1], ["1", "2", "3"]):
        with pytest.raises(OptionError, match="counts must be a number of at least 0"):
            sampler.sample().ceilings(counts)
