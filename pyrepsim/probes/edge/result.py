"""What a probing found: scores with bands, mixing weights, where the task is solved, and counts by sentence."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import LayerError, OptionError
from ...outputs import replacing
from ...report.figures import save
from ...report.layers import layer_lines
from ...results import Score, Scores
from .depth import centre_of_gravity, divergence, expected_layer, gain_divergence
from .evaluation import Evaluation
from .members import LEXICAL, Member
from .rules import f1_score, rule_of
from .saving import load_result, save_result
from .summary import listing
from .targets import Finding, Targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .training import JointTraining

__all__ = ["EdgeResult", "collect"]

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
        points = [
            (layer, 100 * score.value, *(100 * end for end in score.interval or (score.value, score.value)))
            for layer, score in zip((str(score.layer_x).removeprefix("0..") for score in found), found, strict=True)
        ]
        lexical = any(member.name == LEXICAL for member in self.members)
        figure = layer_lines(
            {self.task: points},
            title=f"{self.task} on {split}: {found[0].n_samples:,} targets, 95 % bands",
            xlabel="highest layer of the mix" if cumulative else "layer",
            ylabel="F1 (%)",
            floors={"word pieces alone": 100 * self.f1(LEXICAL, split=split)} if lexical else {},
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
        weights=tuple(_weights(members, norms, weights, gammas)),
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


def _weights(
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
