"""Where in a model a task is solved: mixing weights and cumulative scores as single numbers.

Formulas of Tenney et al. (2019, "BERT Rediscovers the Classical NLP Pipeline", section 3). Mixing weights make up for
the norms of layers, so they are no fair measure across models whose norms differ: see the norms beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

CAVEAT = (
    "Mixing weights make up for differing norms of layers: compare them across models only where the norms agree; "
    "description length per layer is the safer measure."
)


def centre_of_gravity(weights: Sequence[float]) -> float:
    """Mean layer sum_l l w_l / sum_l w_l over l = 0, ..., L, layer 0 being the embeddings."""
    return sum(layer * weight for layer, weight in enumerate(weights)) / sum(weights)


def divergence(weights: Sequence[float]) -> float:
    """KL divergence in bits of the weights, scaled to sum 1, from the uniform distribution: 0 to log2(L + 1)."""
    total = sum(weights)
    shares = [weight / total for weight in weights if weight > 0]
    return sum(share * math.log2(share * len(weights)) for share in shares)


def expected_layer(scores: Sequence[float]) -> float:
    """sum_l l d_l / sum_l d_l over l = 1, ..., L with d_l = score(mix 0..l) - score(mix 0..l-1); negative d_l kept.

    NaN where the last score equals the first, as then nothing was gained on the way.
    """
    gains = _gains(scores)
    total = sum(gains)
    return sum(layer * gain for layer, gain in enumerate(gains, 1)) / total if total else math.nan


def gain_divergence(scores: Sequence[float]) -> float:
    """`divergence` of the gains max(d_l, 0) of `expected_layer`; NaN where no layer gains."""
    gains = [max(gain, 0.0) for gain in _gains(scores)]
    return divergence(gains) if sum(gains) else math.nan


def relative_gains(scores: Sequence[float], lexical: float) -> list[float]:
    """d_l / (max score - lexical score), l = 1, ..., L: the part of what context adds that comes with layer l."""
    span = max(scores) - lexical
    return [gain / span if span else math.nan for gain in _gains(scores)]


def _gains(scores: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(scores)]
