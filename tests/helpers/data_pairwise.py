"""Rows that are difficult for distances and ranks: odd shapes, (nearly) equal rows, rogue features, extreme units."""

from __future__ import annotations

import numpy as np

from .data import cast, correlated_pair, rogue


def _rows(n: int, d: int, seed: int) -> np.ndarray:
    """Correlated features with means of about one standard deviation, no row of zero length."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, min(d, 5)))
    mixed = latent @ rng.standard_normal((min(d, 5), d)) + 0.5 * rng.standard_normal((n, d))
    return mixed + rng.standard_normal(d) + 0.25


def _integers(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).integers(-3, 4, (n, d)).astype(np.float64)
    rows[:, 0] += 9  # no row is zero or constant
    return rows


def _build() -> dict[str, np.ndarray]:
    cases = {f"{n}x{d}": _rows(n, d, seed=100 * n + d) for n in (2, 3, 97) for d in (1, 3, 768)}
    cases["1021x3"] = _rows(1021, 3, seed=40)
    cases["many_panels"] = _rows(331, 65, seed=41)
    base = _rows(90, 20, seed=42)
    cases["duplicated_rows"] = np.repeat(base[:45], 2, axis=0)
    cases["all_but_one_equal"] = np.vstack([np.tile(base[:1], (40, 1)), base[1:2]])
    near = base.copy()
    near[45:] = base[:45] * (1 + 2.0**-20)  # representable in float32 or not: the reference gets the cast array
    cases["near_duplicates"] = near
    cases["rogue"] = rogue(base)
    cases["one_rogue_of_many"] = rogue(_rows(97, 256, seed=43), features=(7,), ratio=200.0)
    cases["integers_with_ties"] = _integers(80, 6, seed=44)
    cases["fewer_rows_than_features"] = _rows(19, 50, seed=45)
    cases["tiny"] = base * 1e-30
    cases["huge"] = base * 1e15
    cases["offset_1e4"] = base + 1e4
    for rows in cases.values():
        rows.flags.writeable = False
    return cases


ROWS = _build()
"""Name -> (n, d) float64, read-only."""


def _pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    pairs = {
        "different_widths": correlated_pair(97, 19, 11, seed=50),
        "related": correlated_pair(120, 16, 16, noise=0.3, seed=51),
        "independent": (_rows(64, 12, seed=52), _rows(64, 9, seed=53)),
        "few_rows": correlated_pair(13, 30, 25, seed=54),
        "one_feature": (_rows(60, 1, seed=55), _rows(60, 4, seed=56)),
        "rogue": (rogue(correlated_pair(90, 20, 20, seed=57)[0]), rogue(correlated_pair(90, 20, 20, seed=57)[1])),
        "duplicated_rows": tuple(np.repeat(side, 2, axis=0) for side in correlated_pair(40, 9, 7, seed=58)),
        "integers_with_ties": (_integers(70, 6, seed=59), _integers(70, 5, seed=60)),
        "tiny": tuple(side * 1e-30 for side in correlated_pair(60, 8, 8, seed=61)),
        "huge": tuple(side * 1e15 for side in correlated_pair(60, 8, 8, seed=61)),
        "blocks": correlated_pair(301, 7, 5, seed=62),
    }
    for name in ("float16", "bfloat16", "float32"):
        pairs[name] = tuple(cast(side, name) for side in correlated_pair(75, 12, 10, seed=63))
    itself = _rows(80, 10, seed=64)
    pairs["x_is_y"] = (itself, itself)
    for sides in pairs.values():
        for side in sides:
            side.flags.writeable = False
    return pairs  # type: ignore[return-value]


PAIRS = _pairs()
"""Name -> two sides with matched rows, read-only, in the element type their name says or float64."""
