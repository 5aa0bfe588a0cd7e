"""Tiles of n x n matrices for many layers at once: the values of the definition, by a rule on shapes alone."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import comparing, gram_scores
from pyrepsim.core.errors import DegenerateError, NonFiniteError
from pyrepsim.measures import MomentMeasure, all_measures
from pyrepsim.moments import gram_tiles
from tests.helpers import references as ref

PRODUCTS = {
    rs.LinearCKA(): ref.linear_cka,
    rs.LinearCKA(debiased=True): ref.debiased_cka,
    rs.RV2(): ref.rv2,
    rs.RSA(): lambda X, Y: ref.rsa(X, Y, "cosine", "pearson"),
    rs.RSA(metric="correlation"): lambda X, Y: ref.rsa(X, Y, "correlation", "pearson"),
    rs.RSA(metric="dot"): lambda X, Y: ref.rsa(X, Y, "dot", "pearson"),
    rs.RSA(metric="sqeuclidean", compare="cosine"): lambda X, Y: ref.rsa(X, Y, "sqeuclidean", "cosine"),
}
N, WIDTHS = 150, (40, 33, 50, 41)


@pytest.fixture
def tiles(monkeypatch):
    """The numbers of pairs that took tiles; blocks are small, so that there are many."""
    monkeypatch.setattr(gram_tiles, "_BLOCK_ROWS", 64)
    monkeypatch.setattr(gram_tiles, "_SLICE", 1000)
    monkeypatch.setattr(gram_tiles, "_FEW_PRODUCTS", 0)
    monkeypatch.setattr(gram_tiles, "_CACHED_ELEMENTS", 700)
    taken = []
    run = comparing.tile_scores

    def watched(source, pairs, *args):
        taken.append(len(pairs))
        return run(source, pairs, *args)

    monkeypatch.setattr(comparing, "tile_scores", watched)
    return taken


def layers(offset=0.0, n=N, widths=WIDTHS, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, 6)) * rng.lognormal(size=(n, 1))
    return [
        latent @ rng.standard_normal((6, d)) + 0.5 * rng.standard_normal((n, d)) + offset * rng.standard_normal(d)
        for d in widths
    ]


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_more_rows_than_features(offset, tiles):
    sides = layers(offset)
    matrices = rs.compare_all(sides, list(PRODUCTS), backend="cpu")
    assert tiles == []  # n is not below half of L d
    more = [*sides, *layers(offset, seed=1), *layers(offset, seed=2), *layers(offset, seed=3)]
    matrices = rs.compare_all(more, list(PRODUCTS))
    assert tiles == [16 * 17 // 2]
    for measure, reference in PRODUCTS.items():
        values = matrices[str(measure)].values
        for i, j in ((0, 0), (0, 1), (3, 9), (15, 2)):
            assert abs(values[i, j] - reference(more[i], more[j])) < 1e-10 * (1 + offset), str(measure)
        assert (values == values.T).all()


def test_one_value_by_both_routes_and_in_any_company(tiles, tmp_path, monkeypatch):
    sides = {f"layer.{k}": rows.astype(np.float32) for k, rows in enumerate(layers() + layers(seed=1))}
    stores = [rs.write_store(tmp_path / name, sides) for name in "ab"]
    measures = list(PRODUCTS)
    by_tiles = rs.compare(*stores, measures, layers="all")
    assert tiles == [64]
    assert {score.provenance["products"] for score in by_tiles} == {"n x n"}
    few = rs.compare(*stores, measures, layers=[("layer.0", other) for other in sides] + [("layer.1", "layer.2")])
    monkeypatch.setattr(gram_scores, "tiles_are_less", lambda *_: False)
    by_sums = rs.compare(*stores, measures, layers="all")
    assert all("products" not in score.provenance for score in by_sums)
    assert all(abs(a.value - b.value) < 1e-12 for a, b in zip(by_tiles, by_sums, strict=True))
    monkeypatch.setattr(gram_scores, "tiles_are_less", lambda *_: True)
    alone = rs.compare(*stores, measures, layers=[("layer.0", "layer.3")])
    together = by_tiles.select(layer_x="layer.0", layer_y="layer.3")
    assert [score.value for score in alone] == [score.value for score in together]
    assert len(few) == 9 * len(measures)


def test_a_store_with_itself_with_selected_tokens_and_shards(tiles, tmp_path):
    sides = {f"layer.{k}": rows for k, rows in enumerate(layers() + layers(seed=1))}
    special = np.arange(N) % 7 == 3
    columns = {"doc_id": np.arange(N), "position": np.zeros(N, int), "token_id": np.zeros(N, int), "flags": 1 * special}
    store = rs.write_store(tmp_path / "a", sides, columns=columns, shard_rows=37)
    scores = rs.compare(store, store, rs.LinearCKA(), layers="all")
    assert tiles == [64]
    for score in scores:
        X, Y = (np.asarray(store[name])[~special] for name in (score.layer_x, score.layer_y))
        assert score.value == pytest.approx(ref.linear_cka(X, Y), abs=1e-12)
        assert score.layer_x != score.layer_y or score.value == 1.0


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_bits_do_not_depend_on_threads_and_layout(precision, tiles):
    sides = layers(widths=(200, 333))
    measures = list(PRODUCTS)
    expected = [s.value for s in rs.compare(*sides, measures, n_threads=1, precision=precision)]
    for n_threads, change in ((3, np.asarray), (2, np.asfortranarray), (1, lambda a: np.repeat(a, 2, 1)[:, ::2])):
        scores = rs.compare(*map(change, sides), measures, n_threads=n_threads, precision=precision)
        assert [score.value for score in scores] == expected
    assert len(tiles) == 4


def test_the_stated_bound_of_float32(tiles):
    x, y = layers(widths=(300, 700))
    found = {score.measure: score.value for score in rs.compare(x, y, list(PRODUCTS), precision="fp32")}
    for measure, reference in PRODUCTS.items():
        assert 0 < abs(found[str(measure)] - reference(x, y)) < 1e-5
    # an entry of a tile
    rows = gram_tiles.DenseRows(
        lambda start, stop: iter([x[start:stop]]),
        x.shape,
        transform="raw",
        label="X",
        precision="fp32",
        backend=rs.backends.get_backend("cpu"),
    )
    side, out = rows.side(), np.empty((N, N))
    rows.product(rows.block(0, N), rows.block(0, N), out)
    centred = x - x.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    np.testing.assert_allclose(side.squared_norms, norms**2, rtol=1e-12)
    assert (np.abs(out - centred @ centred.T) <= 1.6e-5 * np.outer(norms, norms)).all()


def test_less_memory_gives_smaller_blocks(tiles, monkeypatch):
    sides = layers(widths=(200, 333))
    monkeypatch.setattr(gram_tiles, "_LEAST_BLOCK_ROWS", 2)
    sizes = [gram_tiles._block_rows([200, 333], memory) for memory in (10**9, 10**6, 10**5)]
    assert sizes == [64, 16, 2]
    values = [rs.compare(*sides, rs.RSA(), memory=memory, n_threads=1).value for memory in ("1GB", 1000000)]
    assert abs(values[0] - values[1]) < 1e-14
    assert gram_tiles._threads_that_fit([200, 333], 16, 10**6) == 2
    assert rs.compare(*sides, rs.RSA(), memory=1000000, n_threads=7).value == values[1]


@pytest.mark.parametrize("n", [5, 63, 64, 65, 129])
def test_blocks_at_the_edges(n, tiles):
    x, y = layers(n=n, widths=(200, 333))
    for measure, reference in PRODUCTS.items():
        assert rs.compare(x, y, measure).value == pytest.approx(reference(x, y), abs=1e-11)
    assert tiles == [1] * len(PRODUCTS)


def test_rows_near_their_mean_and_rows_of_any_size(tiles):
    x, y = layers(widths=(200, 333))
    steps = np.random.default_rng(4).integers(-64, 65, x.shape).astype(float)
    near = 1.1 + steps * 2.0**-52  # the sum of the rows is rounded by more than one of these steps
    assert (np.diff(near, axis=0) * 2.0**52 == np.diff(steps, axis=0)).all()
    assert rs.compare(near * 2.0**30, y, rs.LinearCKA()).value == pytest.approx(ref.linear_cka(steps, y), abs=1e-12)
    expected = rs.compare(x, y, rs.RSA()).value
    for scale in (2.0**600, 2.0**-600):
        assert rs.compare(x * scale, y, rs.RSA()).value == expected


def test_bad_rows_are_named(tiles):
    x, y = layers(widths=(200, 333))
    bad = x.copy()
    bad[140, 7] = np.inf
    with pytest.raises(NonFiniteError, match="X must be finite: got inf at row 140, feature 7"):
        rs.compare(bad, y, rs.LinearCKA())
    bad[140] = 0
    with pytest.raises(DegenerateError, match="row 140 of X is all zero"):
        rs.compare(bad, y, rs.RSA())
    with pytest.raises(DegenerateError, match="constant"):
        rs.compare(np.full_like(x, 3.3), y, rs.LinearCKA())
    far = 1e6 + x  # the mean is rounded, and the rounding is subtracted again
    assert rs.compare(far, y, rs.LinearCKA()).value == pytest.approx(ref.linear_cka(far, y), rel=1e-9)


def test_a_layer_with_a_row_of_zeros_does_not_stop_the_others(tiles):
    sides = layers() * 3
    sides[3] = sides[3].copy()
    sides[3][140] = 0.0
    sides[5] = np.ones_like(sides[5])
    matrices = rs.compare_all(sides, [rs.RSA(), rs.LinearCKA()])
    assert tiles == [12 * 13 // 2]
    for name, undefined in (("RSA", (3, 5)), ("LinearCKA", (5,))):
        missing = np.isnan(matrices[name].values)
        assert [k for k in range(12) if missing[k].all()] == list(undefined)
        assert missing.sum() == 144 - (12 - len(undefined)) ** 2


def test_measures_of_products_read_nothing_else(tiles):
    """A measure that declares it reads products has the same value from sums that have no d x d matrix."""
    found = [
        kind() for kind in all_measures().values() if issubclass(kind, MomentMeasure) and kind().reads == "products"
    ]
    assert found
    assert all(measure.from_gram for measure in found)
    x, y = layers(widths=(200, 333))
    assert all(np.isfinite(score.value) for score in rs.compare(x, y, found))


def test_progress_moves_with_every_tile(tiles, monkeypatch):
    moves = []

    class Bar:
        disable = False

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, n):
            moves.append(n)

    totals = []
    monkeypatch.setattr(gram_scores, "progress_bar", lambda total, *_, **__: totals.append(total) or Bar())
    rs.compare(*layers(widths=(200, 333)), [rs.LinearCKA(), rs.RSA()], progress=True)
    assert totals == [sum(moves)] == [2 * 2 * 6]  # transforms, layers, pairs of three blocks
