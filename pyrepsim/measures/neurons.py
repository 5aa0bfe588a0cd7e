"""Neuron-level agreement: single features of one side against single features of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..moments.pair import Pair, Side
from .base import Invariance, Measure

__all__ = ["MaxCorrelation", "constant_features", "feature_correlations"]


def feature_correlations(pair: Pair) -> np.ndarray:
    """Pearson correlation of each varying feature of X with each varying feature of Y, (varying_x, varying_y)."""
    keep_x, keep_y = pair.x.varying, pair.y.varying
    sd_x = np.sqrt(np.diag(pair.x.scatter)[keep_x])
    sd_y = np.sqrt(np.diag(pair.y.scatter)[keep_y])
    return pair.cross[np.ix_(keep_x, keep_y)] / np.outer(sd_x, sd_y)


def constant_features(side: Side) -> int:
    """How many features have no correlation with anything."""
    return int(np.count_nonzero(~side.varying))


@dataclass(frozen=True)
class MaxCorrelation(Measure):
    """Mean over the features of X of the largest |Pearson correlation| with any feature of Y.

    value = (1/d_x) sum_i max_j |corr(x_i, y_j)|, in [0, 1]. Not symmetric. Constant features have no correlation and
    are left out; their number is in ``details``.

    ``details``: best (the maximum of each feature of X that varies), partner (the feature of Y that attains it),
    constant_features_x, constant_features_y.

    References: Bau et al. (2019), ICLR, section 3.1; Wu et al. (2020), arXiv:2005.01172, section 3 ("maxcorr").
    """

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def invariant_x(self) -> Invariance:
        return Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        correlations = np.abs(feature_correlations(pair))
        partner = np.argmax(correlations, axis=1)
        best = correlations[np.arange(len(partner)), partner]
        return float(np.mean(best)), {
            "best": best,
            "partner": np.flatnonzero(pair.y.varying)[partner],
            "constant_features_x": constant_features(pair.x),
            "constant_features_y": constant_features(pair.y),
        }
