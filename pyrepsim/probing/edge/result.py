"""What a probing found: scores with bands, mixing weights, where the task is solved, and counts by sentence.

FOLDED: Where in a model a task is solved: mixing weights and cumulative scores as single numbers.

Formulas of Tenney et al. (2019, "BERT Rediscovers the Classical NLP Pipeline", section 3). Mixing weights make up for
the norms of layers, so they are no fair measure across models whose norms differ: see the norms beside them.

FOLDED: A probing as text.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import LayerError, OptionError
from ...core.outputs import replacing
from ...results import Score, Scores
from ...results.figures import save
from ...results.lines import Line, line_figure
from .evaluation import Evaluation, f1_score, rule_of
from .members import LEXICAL, Member
from .saving import load_result, save_result
from .targets import Finding, Targets

if TYPE_CHECKING:
    # FOLDED
    from matplotlib.figure import Figure

    from .training import JointTraining

__all__ = ["EdgeResult", "collect"]

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


def listing(result: EdgeResult, split: str) -> str:
    """Scores of every member, then mixing weights with norms, expected layer, and what was left out."""
    names = list(dict.fromkeys(member.name for member in result.members))
    n_targets = result.select(split=split)[0]["n_targets"]
    seeds = len({member.seed for member in result.members})
    lines = [f"{result.task}: F1 in percent on {split}, {n_targets:,} targets, mean of {seeds} seeds, 95 % band"]
    width = max(map(len, names))
    for name in names:
        rows = result.select(member=name, split=split)
        f1, low, high = (100 * float(np.mean([row[key] for row in rows])) for key in ("f1", "low", "high"))
        spread = f"  ±{100 * float(np.std([row['f1'] for row in rows], ddof=1)):.2f} sd" if len(rows) > 1 else ""
        lines.append(f"{name:<{width}}  {f1:6.2f} [{low:.2f}, {high:.2f}]{spread}")
    lines += _parts(result, split, names, width) + _depth(result, split, names) + _weights(result)
    for name, findings in result.findings.items():
        for (reason, kept), count in Counter((found.reason, found.kept) for found in findings).items():
            lines.append(f"{name}: {count:,} {'kept' if kept else 'left out'}: {reason}")
    return "\n".join(lines)


def _parts(result: EdgeResult, split: str, names: list[str], width: int) -> list[str]:
    parts = dict.fromkeys(row["part"] for row in result.rows if row["part"] != "all")
    return [
        f"{name:<{width}}  {100 * result.f1(name, split=split, part=part):6.2f} {part}"
        for part in parts
        for name in names
    ]


def _depth(result: EdgeResult, split: str, names: list[str]) -> list[str]:
    if any(f"mix.{last}" not in names for last in range(len(result.layers))):
        return []
    lines = [
        f"expected layer {result.expected_layer(split=split):.2f}, "
        f"divergence of gains {result.gain_divergence(split=split):.2f} bits"
    ]
    if LEXICAL in names:
        gains = relative_gains(result.cumulative(split=split), result.f1(LEXICAL, split=split))
        lines.append("gain by layer, part of what context adds: " + " ".join(f"{gain:.2f}" for gain in gains))
    return lines


def _weights(result: EdgeResult) -> list[str]:
    last = f"mix.{len(result.layers) - 1}"
    rows = [row for row in result.weights if row["member"] == last]
    if not rows:
        return []
    lines = ["mix of all layers  " + "  ".join(f"{layer:>8}" for layer in result.layers)]
    for row in rows:
        lines.append("weight             " + "  ".join(f"{weight:8.3f}" for weight in row["weights"]))
        lines.append(
            f"  seed {row['seed']}: centre of gravity {row['centre_of_gravity']:.2f}, divergence "
            f"{row['divergence']:.2f} bits, gamma {row['gamma']:.2f}"
        )
    lines.append("mean norm          " + "  ".join(f"{result.norms[layer]:8.3f}" for layer in result.layers))
    return [*lines, CAVEAT]


Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EdgeResult:
    """Scores of all members, seeds and splits of one task.

    Attributes
    ----------
    rows : one dict a member, seed, split and part of the labels ("all"; SRL also "core", "non-core"): f1, low, high
        (95 % band), precision, recall, `bits` (code length of a target, -log2 p) and counts. F1 in [0, 1].
    weights : one dict a mix and seed: weights, gamma, centre_of_gravity (layers), divergence (bits), and the norms of
        these layers, which the weights make up for.
    norms : mean Euclidean norm of the rows of each layer, on the development set.
    sentences : by split, (members, sentences, 3) true positives, predictions and gold cells of the labels that count.
    records : by split, the record that each of these sentences is.
    findings : by split, what was left out or kept though odd.
    history : one dict a member, seed and validation.
    """

    task: str
    members: tuple[Member, ...]
    layers: tuple[str, ...]
    rows: tuple[Row, ...]
    weights: tuple[Row, ...]
    norms: Mapping[str, float]
    sentences: Mapping[str, np.ndarray]
    records: Mapping[str, np.ndarray]
    findings: Mapping[str, tuple[Finding, ...]]
    history: tuple[Row, ...]
    about: Mapping[str, Any]

    @property
    def split(self) -> str:
        """The split that is shown unless another is asked for: test, or dev if there is no test."""
        return "test" if "test" in self.sentences else "dev"

    def select(self, *, member: str | None = None, split: str | None = None, part: str = "all") -> list[Row]:
        """Rows of a part of the labels, of one split (default: `split`), of one member or all."""
        split = self.split if split is None else split
        if split not in self.sentences:
            raise OptionError(f"split must be one of {', '.join(self.sentences)}: got {split!r}.")
        if member is not None and member not in (names := {one.name for one in self.members}):
            raise LayerError(f"member must be one of {', '.join(sorted(names))}: got {member!r}.")
        return [
            row
            for row in self.rows
            if row["split"] == split and row["part"] == part and member in (None, row["member"])
        ]

    def f1(self, member: str, *, split: str | None = None, part: str = "all") -> float:
        """Mean F1 of a member over its seeds, in [0, 1]."""
        return float(np.mean([row["f1"] for row in self.select(member=member, split=split, part=part)]))

    def cumulative(self, *, split: str | None = None) -> list[float]:
        """Mean F1 of the mixes of 0..K, K = 0, ..., L. Raises LayerError unless all mixes were trained."""
        return [self.f1(f"mix.{last}", split=split) for last in range(len(self.layers))]

    def expected_layer(self, *, split: str | None = None) -> float:
        """`depth.expected_layer` of the cumulative scores, in layers; layer 0 is the embeddings."""
        return expected_layer(self.cumulative(split=split))

    def gain_divergence(self, *, split: str | None = None) -> float:
        """`depth.gain_divergence` of the cumulative scores, in bits."""
        return gain_divergence(self.cumulative(split=split))

    def scores(self, *, cumulative: bool = False, split: str | None = None) -> Scores:
        """Mean F1 over seeds as `Scores`, one a layer (or a mix of 0..K), with the mean 95 % band as interval."""
        names = [f"mix.{last}" for last in range(len(self.layers))] if cumulative else list(self.layers)
        trained = {member.name for member in self.members}
        found = []
        for name, layer in zip(names, self.layers, strict=True):
            if name not in trained:
                continue
            rows = self.select(member=name, split=split)
            ends = [float(np.mean([row[end] for row in rows])) for end in ("low", "high")]
            label = f"0..{layer}" if cumulative else layer
            details = {"seeds": [row["seed"] for row in rows], "f1": [row["f1"] for row in rows]}
            found.append(
                Score(
                    self.f1(name, split=split), self.task, rows[0]["n_targets"], (ends[0], ends[1]), details,
                    label, label, {"split": rows[0]["split"], "score": "F1"},
                )
            )  # fmt: skip
        return Scores(found)

    def table(self, *, split: str | None = None) -> str:
        """F1 in percent with its band, for every member, and what else there is to say, as text."""
        return listing(self, self.split if split is None else split)

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, cumulative: bool = False, split: str | None = None
    ) -> Figure:
        """F1 by layer, or by the highest layer of the mix, with its band; the lexical floor where there is one."""
        split = self.split if split is None else split
        found = self.scores(cumulative=cumulative, split=split)
        ends = [score.interval or (score.value, score.value) for score in found]
        values = [score.value for score in found]
        line = Line(self.task, range(len(found)), values, [low for low, _ in ends], [high for _, high in ends])
        lexical = any(member.name == LEXICAL for member in self.members)
        figure = line_figure(
            [line],
            ticks=[str(score.layer_x).removeprefix("0..") for score in found],
            title=f"{self.task} on {split}: {found[0].n_samples:,} targets, 95 % bands",
            xlabel="highest layer of the mix" if cumulative else "layer",
            ylabel="F1",
            percent=True,
            baselines={"lexical baseline": self.f1(LEXICAL, split=split)} if lexical else {},
        )
        if path is not None:
            save(figure, path)
        return figure

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `rows`, one a line."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return Path(path)

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write `rows`, then `weights`, a JSON object a line; "kind" tells them apart."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for kind, rows in (("score", self.rows), ("weights", self.weights)):
                for row in rows:
                    file.write(json.dumps({"kind": kind} | row, ensure_ascii=False, allow_nan=False) + "\n")
        return Path(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything into one .npz file, which `load` reads."""
        return save_result(vars(self), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EdgeResult:
        """Read what `save` wrote. StoreError if the file can't be read or holds something else."""
        return cls(**load_result(path))

    def __repr__(self) -> str:
        return f"EdgeResult({self.task}, {len(self.members)} probes, {', '.join(self.sentences)})"


def collect(
    training: JointTraining,
    targets: Mapping[str, Targets],
    scored: Mapping[str, Evaluation],
    *,
    task: str,
    weights: np.ndarray,
    gammas: np.ndarray,
    layers: Sequence[str],
    about: Mapping[str, Any],
) -> EdgeResult:
    """Put a result together from what training and evaluations left."""
    members, labels = training.members, targets["train"].labels
    rows: list[Row] = []
    for split, evaluation in scored.items():
        for part, keep in {"all": rule_of(task).keep, **rule_of(task).parts}.items():
            right, said, gold = evaluation.totals(labels, keep)
            for m, member in enumerate(members):
                own = {"task": task, "member": member.name, "seed": member.seed, "split": split, "part": part}
                score = f1_score(int(right[m]), int(said[m]), gold)._asdict()
                counts = {"true_positives": int(right[m]), "predicted": int(said[m]), "gold": gold}
                bits = float(evaluation.nats[m] / max(evaluation.n_coded, 1) / np.log(2))
                schedule = training.schedules[member.key]
                rest = {"n_targets": evaluation.n_targets, "bits": bits, "best_step": schedule.best_step}
                rows.append(own | score | counts | rest)
    first = scored["dev"]
    names = training.shape.sources
    norms = {name: float(total / max(first.n_rows, 1)) for name, total in zip(names, first.norm_sum, strict=True)}
    return EdgeResult(
        task=task,
        members=members,
        layers=tuple(layers),
        rows=tuple(rows),
        weights=tuple(_weights_result(members, norms, weights, gammas)),
        norms=norms,
        sentences={split: _by_sentence(found) for split, found in scored.items()},
        records={split: targets[split].record for split in scored},
        findings={split: found.findings for split, found in targets.items()},
        history=tuple(training.history),
        about=about,
    )


def _by_sentence(found: Evaluation) -> np.ndarray:
    gold = np.broadcast_to(found.sentence_gold[None, :, None], (*found.sentences.shape[:2], 1))
    return np.concatenate([found.sentences, gold], axis=2)


def _weights_result(
    members: Sequence[Member], norms: Mapping[str, float], weights: np.ndarray, gammas: np.ndarray
) -> list[Row]:
    names = list(norms)
    n_single = sum(not member.is_mix for member in members)
    found = []
    for m, member in enumerate(members[n_single:]):
        own = [float(weights[m, names.index(name)]) for name in member.sources]
        row: Row = {"member": member.name, "seed": member.seed, "weights": own, "gamma": float(gammas[n_single + m])}
        row |= {"centre_of_gravity": centre_of_gravity(own), "divergence": divergence(own)}
        found.append(row | {"norms": [norms[name] for name in member.sources]})
    return found
