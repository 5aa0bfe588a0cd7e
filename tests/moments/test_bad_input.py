"""Values that must not enter a sum are refused with their place, and the sums do not change."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.backends import cpu, reference
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError, StateError
from pyrepsim.measures import CCA, RSA, SVCCA, LinearCKA, parse_measure
from pyrepsim.moments import MomentsSet, PairedMoments
from tests.helpers.backends import EVERY
from tests.helpers.data import cast


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nonfinite_entries(rng, dtype, bad, backend):
    X = cast(rng.standard_normal((600, 21)), dtype)
    moments = PairedMoments(21, 21, backend=backend)
    moments.update(X, X)
    before = moments.state().products[0].copy()
    broken = X.copy()
    broken[431, 17] = bad
    broken[500, 2] = bad
    with pytest.raises(NonFiniteError, match="Y must be finite: got .* at row 1031, feature 17"):
        moments.update(X, broken)
    with pytest.raises(NonFiniteError, match="X must be finite: got .* at row 1031, feature 17"):
        moments.update(np.asfortranarray(broken), X)
    assert moments.n_samples == 600
    np.testing.assert_array_equal(moments.state().products[0], before)


def test_the_largest_finite_numbers_are_finite():
    for dtype in ("float16", "bfloat16", "float32"):
        X = cast(np.full((4, 3), 1.0), dtype)
        X[1, 2] = np.finfo(X.dtype).max if dtype != "bfloat16" else 3e38
        moments = PairedMoments(3, 3)
        moments.update(X, X)
        assert moments.n_samples == 4


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize(("transform", "bad"), [("unit", 0.0), ("unit", -0.0), ("unit_centred", 0.7)])
def test_rows_without_direction(rng, transform, bad, backend):
    X = rng.standard_normal((300, 9)).astype(np.float32)
    X[123] = bad
    moments = MomentsSet((9,), transforms=(transform,), backend=backend)
    with pytest.raises(DegenerateError, match="row 123"):
        moments.update([X])
    assert moments.n_samples == 0
    MomentsSet((9,), transforms=("raw",), backend=backend).update([X])


@pytest.mark.parametrize("transform", ["unit", "unit_centred"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_without_features_have_no_direction(transform, dtype):
    for n_rows, expected in ((3, (0, -1)), (0, None)):
        rows = np.zeros((n_rows, 0), dtype)
        for backend in (cpu, reference):
            assert backend.first_directionless_row(rows, transform, 1) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"n_samples": -256},
        {"n_samples": 301},
        {"shift": [np.zeros(4)]},
        {"weighted": [np.zeros(12), np.zeros(3)]},
        {"cross": []},
        {"norms": np.zeros(5)},
        {"pending": [np.zeros((44, 4)), None]},
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(rng, change):
    rows = [rng.standard_normal((300, width)) for width in (4, 3)]
    moments = cpu.Moments([4, 3], [(0, 1)], transform="raw", precision="fp64")
    moments.update(rows, 1)
    before, other = (moments.get_state(complete=False) for _ in range(2))
    for part in (*other["products"], *other["cross"], *other["weighted"]):
        part *= 2
    with pytest.raises((ValueError, IndexError, RuntimeError)):
        moments.set_state({**other, **change})
    after = moments.get_state(complete=False)
    assert after["n_samples"] == before["n_samples"]
    for key in ("shift", "products", "cross", "weighted", "pending"):
        for old, new in zip(before[key], after[key], strict=True):
            np.testing.assert_array_equal(new, old)


def test_zeros_of_both_signs_are_a_zero_row(rng):
    X = rng.standard_normal((10, 4))
    X[3] = [0.0, -0.0, 0.0, -0.0]
    for transform in ("unit", "unit_centred"):
        with pytest.raises(DegenerateError, match="row 3"):
            MomentsSet((4,), transforms=(transform,)).update([X])


def test_overflowing_sums_are_refused(rng):
    X = rng.standard_normal((50, 4))
    for scale in (1e200, 1e75, 1e-75, 1e-200):
        with pytest.raises(NonFiniteError, match="fourth power"):
            compare(X * scale, X, LinearCKA())
    for scale in (1e15, 1e-15):
        with pytest.raises(NonFiniteError, match="1e-10 to 1e\\+10 in fp32"):
            compare(X * scale, X, LinearCKA(), precision="fp32")


def test_an_interrupted_update_is_detected(rng, monkeypatch):
    X = rng.standard_normal((40, 4))
    moments = PairedMoments(4, 4, transforms=("raw", "unit"), backend="reference")
    moments.update(X, X)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moments._live["unit"], "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            moments.update(X, X)
    for use in (moments.pair, lambda: moments.update(X, X), lambda: moments.save("x")):
        with pytest.raises(StateError, match="interrupted"):
            use()


def test_shapes(rng):
    X = rng.standard_normal((30, 4))
    with pytest.raises(ShapeError, match=r"same number of rows: got \(30, 4\) and \(29, 4\)"):
        compare(X, X[:29], CCA())
    with pytest.raises(ShapeError, match="n_samples, n_features"):
        compare(X[:, 0], X, CCA())
    with pytest.raises(ShapeError, match="at least one row"):
        compare(X[:0], X[:0], CCA())
    with pytest.raises(ShapeError, match="at least one row"):
        compare(X[:, :0], X, CCA())
    with pytest.raises(ShapeError, match="the width declared"):
        PairedMoments(4, 5).update(X, X)
    with pytest.raises(DegenerateError, match="at least two rows"):
        compare(X[:1], X[:1], CCA())
    with pytest.raises(DegenerateError, match="at least 4 rows"):
        compare(X[:3], X[:3], LinearCKA(debiased=True))
    with pytest.raises(ShapeError, match="at least one row"):
        LinearCKA().score(PairedMoments(4, 4))


def test_constant_representation(rng):
    with pytest.raises(DegenerateError, match="every feature of X is constant"):
        compare(np.full((30, 4), 0.1), rng.standard_normal((30, 4)), CCA())


def test_element_types(rng):
    X = rng.standard_normal((30, 4))
    for bad in (X.astype(object), X.astype(complex), X.astype(X.dtype.newbyteorder())):
        with pytest.raises(DTypeError, match="float16, bfloat16, float32, float64"):
            compare(bad, X, CCA())
    with pytest.raises(DTypeError, match="must be an array"):
        compare(object(), X, CCA())


@pytest.mark.parametrize(
    "options",
    [{"precision": "fp16"}, {"backend": "gpu"}, {"n_threads": 0}],
)
def test_options_of_the_engine(rng, options):
    X = rng.standard_normal((30, 4))
    with pytest.raises(OptionError):
        compare(X, X, CCA(), **options)


def test_transforms_option():
    with pytest.raises(OptionError, match="transforms must name"):
        MomentsSet((4,), transforms=("whitened",))


def test_single_precision_is_recorded_and_bounded(rng):
    X = rng.standard_normal((5000, 40)).astype(np.float16) + np.float16(3)
    Y = (X[:, :30].astype(np.float32) @ rng.standard_normal((30, 20))).astype(np.float16)
    exact, single = (compare(X, Y, [LinearCKA(), CCA(), RSA()], precision=p) for p in ("fp64", "fp32"))
    assert single[0].provenance["precision"] == "fp32"
    for a, b in zip(exact, single, strict=True):
        assert abs(a.value - b.value) <= 2e-6
    assert any(a.value != b.value for a, b in zip(exact, single, strict=True))


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_row_norms_outside_the_range_of_squares(rng, metric, backend):
    X, Y = rng.standard_normal((300, 10)), rng.standard_normal((300, 10))
    X[200] = np.abs(X[200])  # its sum overflows below
    X[210] = np.where(np.arange(10) == 3, 1.0, -1.0)  # and the difference of its largest value from its mean
    wild = X.copy()
    wild[3] *= 1e160
    wild[100] *= 1e-170
    wild[200] *= 1.7e308 / np.abs(wild[200]).max()
    wild[210] *= 1.7e308
    wild[250] *= 1e-300
    expected, found = (compare(rows, Y, RSA(metric=metric), backend=backend).value for rows in (X, wild))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
@pytest.mark.parametrize(
    "measure", ["LinearCKA(debiased=True)", "RV2", "Procrustes", "GULP", "CCA", "RSA(metric='dot')"]
)
def test_scores_at_the_ends_of_the_range(rng, measure, scale):
    X = rng.standard_normal((200, 9))
    Y = X[:, :6] + rng.standard_normal((200, 6))
    assert compare(X * scale, Y * scale, measure).value == pytest.approx(compare(X, Y, measure).value, rel=1e-12)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_a_feature_that_repeats_the_others_adds_no_rank(d):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((200, d))
        X[:, -1] = X[:, :-1] @ rng.standard_normal(d - 1)
        score = compare(X, rng.standard_normal((200, 3)), CCA())
        assert score.details["rank_x"] == d - 1


def test_rounding_noise_is_not_a_correlation():
    refused = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, drift = rng.standard_normal((300, 4)), rng.standard_normal((300, 1))
        score = compare(X + 2e4 * drift, X + 2e4 * drift, CCA())
        assert 1e-9 < score.details["accuracy_x"] < 1e-6
        assert score.value == pytest.approx(1.0, abs=1e-6)
        try:
            worst = compare(X + 5e5 * drift, X + 5e5 * drift, CCA()).details["correlations"][0]
            assert worst <= 1 + 1e-6
        except DegenerateError as error:
            assert "ill-conditioned" in str(error)
            refused += 1
    assert refused > 0


def test_a_feature_that_varies_by_rounding_alone_is_constant(rng):
    X = rng.standard_normal((100, 5))
    X[:, 2] = 0.1
    X[::2, 2] = np.nextafter(0.1, 1)
    score = compare(X, X[:, :2] + rng.standard_normal((100, 2)), CCA())
    assert score.details["constant_features_x"] == 1
    assert score.details["rank_x"] == 4


def test_one_thread_at_a_time(rng):
    moments = PairedMoments(4, 4)
    with moments._exclusive(), pytest.raises(StateError, match="one thread at a time"):
        moments.update(rng.standard_normal((9, 4)), rng.standard_normal((9, 4)))
    moments.update(rng.standard_normal((9, 4)), rng.standard_normal((9, 4)))
    assert moments.n_samples == 9


@pytest.mark.parametrize("widths", [(), (0,), (-1,), (3.7,), (2**40,), ("a",)])
def test_widths(widths):
    with pytest.raises(ShapeError, match=r"positive whole numbers|fit into memory"):
        MomentsSet(widths)


@pytest.mark.parametrize("pairs", [((0, 2),), ((0,),), ((-1, 0),), ((0, 0.5),)])
def test_pairs(pairs):
    with pytest.raises(OptionError, match="pairs must be"):
        MomentsSet((3, 4), pairs)


def test_options_must_match_their_annotation():
    assert str(CCA(ridge=np.float64(0.1))) == "CCA(ridge=0.1)"
    assert str(SVCCA(components=np.int64(3))) == "SVCCA(components=3)"
    for make in (
        lambda: LinearCKA(debiased="no"),
        lambda: CCA(ridge=True),
        lambda: SVCCA(components=True),
        lambda: SVCCA(variance="0.9"),
        lambda: parse_measure("LinearCKA(debiased=Tru)"),
        lambda: parse_measure("-" * 400 + "1"),
        lambda: parse_measure(3),
    ):
        with pytest.raises(OptionError):
            make()
    with pytest.raises(OptionError, match="Did you mean (Document|Kernel|Linear)CKA"):
        parse_measure("cka")


def test_unknown_labels_and_pairs():
    with pytest.raises(OptionError, match="labels must name each of the 2 sides"):
        MomentsSet((3, 4), labels=("a",))
    for k in (-1, 1):
        with pytest.raises(OptionError, match="k must be one of the 1 pairs"):
            MomentsSet((3, 4), ((0, 1),)).pair_at(k)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("size", [2.0**1000, 1e90])
def test_sums_that_overflow_are_not_handed_out(size, backend, rng):
    """Of squares, or of fourth powers only."""
    X = rng.standard_normal((300, 3))
    moments = PairedMoments(3, 3, backend=backend)
    with np.errstate(all="ignore"):
        moments.update(X, size * X)
        for call in (moments.state, moments.arrays, lambda: PairedMoments(3, 3).merge(moments)):
            with pytest.raises(NonFiniteError, match="those of Y overflow them. Rescale them"):
                call()
