"""Where in a model a task is solved: mixing weights and cumulative scores as single numbers, and a result as text.

Formulas of Tenney et al. (2019), "BERT Rediscovers the Classical NLP Pipeline", section 3. Mixing weights compensate
for the norms of the layers, so they cannot be compared across models whose norms differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...core.text import printable
from .recipe import LEXICAL

if TYPE_CHECKING:
    from .result import EdgeResult

__all__ = ["centre_of_gravity", "divergence", "expected_layer", "gain_divergence", "relative_gains", "result_table"]

_CAVEAT = (
    "Mixing weights compensate for the norms of the layers: compare them across models only if the norms agree; "
    "otherwise compare the description length per layer."
)


def centre_of_gravity(weights: Sequence[float]) -> float:
    """Return the mean layer sum_l l w_l / sum_l w_l over l = 0, ..., L, where layer 0 is the embeddings.

    Source: Tenney et al. (2019), section 3.

    Examples
    --------
    >>> from pyrepsim.probing.edge import centre_of_gravity
    >>> centre_of_gravity([0.25, 0.25, 0.25, 0.25])
    1.5
    """
    return sum(layer * weight for layer, weight in enumerate(weights)) / sum(weights)


def divergence(weights: Sequence[float]) -> float:
    """Return the KL divergence of the weights, scaled to sum 1, from the uniform distribution.

    In bits, in [0, log2(L + 1)] for layers 0, ..., L: 0 for equal weights, the maximum for all weight on one layer.

    Examples
    --------
    >>> from pyrepsim.probing.edge import divergence
    >>> divergence([0.0, 1.0, 0.0, 0.0])
    2.0
    """
    total = sum(weights)
    shares = [weight / total for weight in weights if weight > 0]
    return sum(share * math.log2(share * len(weights)) for share in shares)


def expected_layer(scores: Sequence[float]) -> float:
    """Return the layer at which a task is solved on average, from the scores of the mixes of layers 0..K.

    sum_l l d_l / sum_l d_l over l = 1, ..., L with d_l = score(mix 0..l) - score(mix 0..l-1); negative d_l are kept.
    NaN if the last score equals the first, because then nothing was gained. Source: Tenney et al. (2019), section 3.

    Examples
    --------
    >>> from pyrepsim.probing.edge import expected_layer
    >>> round(expected_layer([0.80, 0.90, 0.95, 0.95]), 3)
    1.333
    """
    gains = _gains(scores)
    total = sum(gains)
    return sum(layer * gain for layer, gain in enumerate(gains, 1)) / total if total else math.nan


def gain_divergence(scores: Sequence[float]) -> float:
    """Return the `divergence` of the gains max(d_l, 0) of `expected_layer`, in bits; NaN if no layer gains.

    Examples
    --------
    >>> from pyrepsim.probing.edge import gain_divergence
    >>> gain_divergence([0.5, 1.0, 1.0])
    1.0
    """
    gains = [max(gain, 0.0) for gain in _gains(scores)]
    return divergence(gains) if sum(gains) else math.nan


def relative_gains(scores: Sequence[float], lexical: float) -> list[float]:
    """Return d_l / (max score - lexical score), l = 1, ..., L: the fraction of the contextual gain of each layer.

    `lexical` is the score of the lexical baseline.

    Examples
    --------
    >>> from pyrepsim.probing.edge import relative_gains
    >>> relative_gains([0.5, 0.75, 1.0], lexical=0.5)
    [0.5, 0.5]
    """
    span = max(scores) - lexical
    return [gain / span if span else math.nan for gain in _gains(scores)]


def _gains(scores: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(scores)]


def result_table(result: EdgeResult, split: str) -> str:
    """Return a result as text: scores of every member, where the task is solved, mixing weights, and findings."""
    names = list(dict.fromkeys(member.name for member in result.members))
    n_targets = result.select(split=split)[0]["n_targets"]
    seeds = len({member.seed for member in result.members})
    lines = [f"{result.task}: F1 in percent on {split}, {n_targets:,} targets, mean of {seeds} seeds, 95 % intervals"]
    width = max(map(len, names))
    for name in names:
        records = result.select(member=name, split=split)
        f1, low, high = (100 * float(np.mean([record[key] for record in records])) for key in ("f1", "low", "high"))
        spread = f"  ±{100 * float(np.std([r['f1'] for r in records], ddof=1)):.2f} sd" if len(records) > 1 else ""
        lines.append(f"{name:<{width}}  {f1:6.2f} [{low:.2f}, {high:.2f}]{spread}{_verdict(result, name, split)}")
    parts = dict.fromkeys(record["part"] for record in result.records if record["part"] != "all")
    lines += [
        f"{name:<{width}}  {100 * result.f1(name, split=split, part=part):6.2f} {part}"
        for part in parts
        for name in names
    ]
    lines += _localisation_lines(result, split, names) + _weight_lines(result)
    for name, findings in result.findings.items():
        for (reason, kept), count in Counter((finding.reason, finding.kept) for finding in findings).items():
            lines.append(f"{name}: {count:,} {'kept' if kept else 'left out'}: {reason}")
    return "\n".join(map(printable, lines))


def _verdict(result: EdgeResult, name: str, split: str) -> str:
    """What a reader of one score must know: it is below the lexical baseline, or its training was cut off."""
    below = name != LEXICAL and any(member.name == LEXICAL for member in result.members)
    below = below and result.f1(name, split=split) < result.f1(LEXICAL, split=split)
    most = result.request.get("recipe", {}).get("max_validations", math.inf)
    validations = Counter(entry["seed"] for entry in result.history if entry["member"] == name)
    cut = sum(count >= most for count in validations.values())
    notes = ["below the lexical baseline"] if below else []
    notes += (
        [f"not converged: {cut} of {len(validations)} seeds ended at the last of {most} validations"] if cut else []
    )
    return f"  {'; '.join(notes)}" if notes else ""


def _localisation_lines(result: EdgeResult, split: str, names: list[str]) -> list[str]:
    if any(f"mix.{last}" not in names for last in range(len(result.layers))):
        return []
    lines = [
        f"expected layer {result.expected_layer(split=split):.2f}, "
        f"divergence of gains {result.gain_divergence(split=split):.2f} bits"
    ]
    if LEXICAL in names:
        gains = relative_gains(result.cumulative(split=split), result.f1(LEXICAL, split=split))
        lines.append(
            "gain by layer, as a fraction of the contextual gain: " + " ".join(f"{gain:.2f}" for gain in gains)
        )
    return lines


def _weight_lines(result: EdgeResult) -> list[str]:
    last = f"mix.{len(result.layers) - 1}"
    mixes = [mix for mix in result.weights if mix["member"] == last]
    if not mixes:
        return []
    lines = ["mix of all layers  " + "  ".join(f"{layer:>8}" for layer in result.layers)]
    for mix in mixes:
        lines.append("weight             " + "  ".join(f"{weight:8.3f}" for weight in mix["weights"]))
        lines.append(
            f"  seed {mix['seed']}: centre of gravity {mix['centre_of_gravity']:.2f}, divergence "
            f"{mix['divergence']:.2f} bits, gamma {mix['gamma']:.2f}"
        )
    lines.append("mean norm          " + "  ".join(f"{result.norms[layer]:8.3f}" for layer in result.layers))
    return [*lines, _CAVEAT]
