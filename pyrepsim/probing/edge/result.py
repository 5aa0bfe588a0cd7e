"""The result of edge probes: scores with intervals, mixing weights, counts by sentence, files and figures."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ...core.errors import CorruptStoreError, LayerError, OptionError
from ...core.json_files import loads
from ...core.npz import opened_npz
from ...core.outputs import replacing
from ...core.states import open_sealed, write_sealed
from ...results import Score, Scores
from ...results.tables import write_csv
from .evaluation import Evaluation, f1_score, rule_of
from .localisation import centre_of_gravity, divergence, expected_layer, gain_divergence, result_table
from .recipe import LEXICAL, Member
from .targets import Finding, Targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .training import JointTraining

__all__ = ["EdgeResult", "collect_result"]

_ARRAYS = ("sentence_counts", "record_index", "documents")

ScoreRecord = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EdgeResult:
    """Scores of all members, seeds and splits of one task.

    Attributes
    ----------
    task : str
    members : tuple of Member
    layers : tuple of str
        All layers of the store.
    records : tuple of dict
        One for each member, seed, split and part of the labels ("all"; SRL also "core" and "non-core"): f1, low and
        high (95 % interval), precision and recall in [0, 1], `bits` (code length of a target, -log2 p) and counts.
    weights : tuple of dict
        One for each mix and seed: weights, gamma, centre_of_gravity (layers), divergence (bits), and the norms of the
        layers, which the weights compensate for.
    norms : mapping from str to float
        Mean Euclidean norm of the rows of each layer, on the development set.
    sentence_counts : mapping from str to ndarray of shape (n_members, n_sentences, 3)
        For each split: true positives, predictions and gold (target, label) pairs of the labels that are scored.
    record_index : mapping from str to ndarray of shape (n_sentences,)
        For each split: the record of each of these sentences.
    findings : mapping from str to tuple of Finding
        For each split: targets that were left out, and targets that were kept although something is odd.
    history : tuple of dict
        One for each member, seed and validation.
    request : mapping
        The settings and the digests of the data, as JSON.
    documents : mapping from str to ndarray of shape (n_sentences,)
        For each split: the number of the document of each of these sentences. Where a record names no document in its
        ``info``, records of one text are a document.
    """

    task: str
    members: tuple[Member, ...]
    layers: tuple[str, ...]
    records: tuple[ScoreRecord, ...]
    weights: tuple[dict[str, Any], ...]
    norms: Mapping[str, float]
    sentence_counts: Mapping[str, np.ndarray]
    record_index: Mapping[str, np.ndarray]
    findings: Mapping[str, tuple[Finding, ...]]
    history: tuple[dict[str, Any], ...]
    request: Mapping[str, Any]
    documents: Mapping[str, np.ndarray]

    @property
    def split(self) -> str:
        """The split that is shown by default: test, or dev if there is no test."""
        return "test" if "test" in self.sentence_counts else "dev"

    def select(self, *, member: str | None = None, split: str | None = None, part: str = "all") -> list[ScoreRecord]:
        """Return the records of one split (default: `split`) and part of the labels, of one member or of all."""
        split = self.split if split is None else split
        if split not in self.sentence_counts:
            raise OptionError(f"split must be one of {', '.join(self.sentence_counts)}: got {split!r}.")
        if member is not None and member not in (names := {one.name for one in self.members}):
            raise LayerError(f"member must be one of {', '.join(sorted(names))}: got {member!r}.")
        return [
            record
            for record in self.records
            if record["split"] == split and record["part"] == part and member in (None, record["member"])
        ]

    def f1(self, member: str, *, split: str | None = None, part: str = "all") -> float:
        """Return the mean F1 of a member over its seeds, in [0, 1]."""
        return float(np.mean([record["f1"] for record in self.select(member=member, split=split, part=part)]))

    def cumulative(self, *, split: str | None = None) -> list[float]:
        """Return the mean F1 of the mixes of 0..K, K = 0, ..., L; LayerError unless all mixes were trained."""
        return [self.f1(f"mix.{last}", split=split) for last in range(len(self.layers))]

    def expected_layer(self, *, split: str | None = None) -> float:
        """Return `expected_layer` of the cumulative scores, in layers; layer 0 is the embeddings."""
        return expected_layer(self.cumulative(split=split))

    def gain_divergence(self, *, split: str | None = None) -> float:
        """Return `gain_divergence` of the cumulative scores, in bits."""
        return gain_divergence(self.cumulative(split=split))

    def scores(self, *, cumulative: bool = False, split: str | None = None) -> Scores:
        """Return the mean F1 over seeds, in [0, 1], with the mean 95 % interval: one score for each layer.

        With ``cumulative=True`` one for each mix of 0..K.
        """
        names = [f"mix.{last}" for last in range(len(self.layers))] if cumulative else list(self.layers)
        trained = {member.name for member in self.members}
        scores = []
        for name, layer in zip(names, self.layers, strict=True):
            if name not in trained:
                continue
            records = self.select(member=name, split=split)
            low, high = (float(np.mean([record[end] for record in records])) for end in ("low", "high"))
            label = f"0..{layer}" if cumulative else layer
            details = {"seeds": [record["seed"] for record in records], "f1": [record["f1"] for record in records]}
            scores.append(
                Score(
                    self.f1(name, split=split), self.task, records[0]["n_targets"], (low, high), details,
                    label, label, {"split": records[0]["split"], "score": "F1"},
                )
            )  # fmt: skip
        return Scores(scores)

    def table(self, *, split: str | None = None) -> str:
        """Return F1 in percent with its interval for every member, mixing weights and findings, as text."""
        return result_table(self, self.split if split is None else split)

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, cumulative: bool = False, split: str | None = None
    ) -> Figure:
        """Draw F1 over the layers, or over the highest layer of the mix, with its interval and the lexical baseline.

        The figure is written to `path` if one is given.
        """
        from ...results.figures import save
        from ...results.lines import Line, line_figure

        split = self.split if split is None else split
        scores = self.scores(cumulative=cumulative, split=split)
        ends = [score.interval or (score.value, score.value) for score in scores]
        line = Line(
            self.task,
            range(len(scores)),
            [score.value for score in scores],
            low=[low for low, _ in ends],
            high=[high for _, high in ends],
        )
        has_baseline = any(member.name == LEXICAL for member in self.members)
        figure = line_figure(
            [line],
            ticks=[str(score.layer_x).removeprefix("0..") for score in scores],
            baselines={"lexical baseline": self.f1(LEXICAL, split=split)} if has_baseline else {},
            percent=True,
            title=f"{self.task} on {split}: {scores[0].n_samples:,} targets, 95 % intervals",
            xlabel="highest layer of the mix" if cumulative else "layer",
            ylabel="F1",
        )
        if path is not None:
            save(figure, path)
        return figure

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `records`, one per line."""
        return write_csv(path, list(self.records[0]), self.records)

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write `records`, then `weights`, one JSON object per line; "kind" is "score" or "weights"."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for kind, records in (("score", self.records), ("weights", self.weights)):
                for record in records:
                    file.write(json.dumps({"kind": kind} | record, ensure_ascii=False, allow_nan=False) + "\n")
        return Path(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything into one file with a checksum, which `load` reads."""
        write_sealed(path, self.write, self.request)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EdgeResult:
        """Read what `save` wrote; StoreError if the file cannot be read, CorruptStoreError if it is damaged."""
        with open_sealed(path) as (_, file):
            return cls.read(file)

    def write(self, file: BinaryIO) -> None:
        """Write everything to an open file as .npz, for `read`."""
        plain = {name: value for name, value in vars(self).items() if name not in _ARRAYS}
        plain["members"] = [vars(member) for member in self.members]
        plain["findings"] = {name: [vars(one) for one in findings] for name, findings in self.findings.items()}
        arrays = {f"{name}.{split}": array for name in _ARRAYS for split, array in vars(self)[name].items()}
        np.savez_compressed(file, json=np.array(json.dumps(plain, default=dict)), **arrays)

    @classmethod
    def read(cls, file: BinaryIO) -> EdgeResult:
        """Read what `write` wrote; CorruptStoreError if it is something else."""
        try:
            with opened_npz(file) as arrays:
                fields = loads(str(arrays["json"]))
                for name in _ARRAYS:
                    splits = [key.partition(".")[2] for key in arrays if key.startswith(f"{name}.")]
                    fields[name] = {split: arrays[f"{name}.{split}"] for split in splits}
            fields["documents"] = fields["documents"] or fields["record_index"]  # files of earlier versions
            fields["members"] = tuple(
                Member(**(member | {"sources": tuple(member["sources"])})) for member in fields["members"]
            )
            known = {field.name for field in dataclasses.fields(Finding)}
            fields["findings"] = {
                name: tuple(Finding(**{key: one[key] for key in known}) for one in findings)
                for name, findings in fields["findings"].items()
            }
            for name in ("layers", "records", "weights", "history"):
                fields[name] = tuple(fields[name])
            result = cls(**fields)
            for split in result.sentence_counts:  # a table reads all fields, with the types that they must have
                result.table(split=split)
            return result
        except Exception as error:  # np.load raises many types
            raise CorruptStoreError(
                f"A result is read from a file that EdgeResult.save wrote: this one is another file ({error}). Check "
                "the path."
            ) from error

    def __repr__(self) -> str:
        return f"EdgeResult({self.task}, {len(self.members)} probes, {', '.join(self.sentence_counts)})"


def collect_result(
    training: JointTraining,
    targets: Mapping[str, Targets],
    evaluations: Mapping[str, Evaluation],
    *,
    task: str,
    weights: np.ndarray,
    gammas: np.ndarray,
    layers: Sequence[str],
    request: Mapping[str, Any],
) -> EdgeResult:
    """Return the result of a finished training and the evaluations of its splits."""
    members, labels = training.members, targets["train"].labels
    records: list[ScoreRecord] = []
    for split, evaluation in evaluations.items():
        for part, keep in {"all": rule_of(task).keep, **rule_of(task).parts}.items():
            true_positives, predicted, gold = evaluation.totals(labels, keep)
            for m, member in enumerate(members):
                record = {"task": task, "member": member.name, "seed": member.seed, "split": split, "part": part}
                record |= f1_score(int(true_positives[m]), int(predicted[m]), gold)._asdict()
                record |= {"true_positives": int(true_positives[m]), "predicted": int(predicted[m]), "gold": gold}
                bits = float(evaluation.nats[m] / max(evaluation.n_coded, 1) / np.log(2))
                best_step = training.schedules[member.key].best_step
                records.append(record | {"n_targets": evaluation.n_targets, "bits": bits, "best_step": best_step})
    dev, names = evaluations["dev"], training.shape.sources
    norms = {name: float(total / max(dev.n_rows, 1)) for name, total in zip(names, dev.norm_sum, strict=True)}
    return EdgeResult(
        task=task,
        members=members,
        layers=tuple(layers),
        records=tuple(records),
        weights=tuple(_mixing_weights(members, norms, weights, gammas)),
        norms=norms,
        sentence_counts={split: _sentence_counts(evaluation) for split, evaluation in evaluations.items()},
        record_index={split: targets[split].record for split in evaluations},
        documents={split: targets[split].document for split in evaluations},
        findings={split: own.findings for split, own in targets.items()},
        history=tuple(training.history),
        request=request,
    )


def _sentence_counts(evaluation: Evaluation) -> np.ndarray:
    gold = np.broadcast_to(evaluation.sentence_gold[None, :, None], (*evaluation.sentences.shape[:2], 1))
    return np.concatenate([evaluation.sentences, gold], axis=2)


def _mixing_weights(
    members: Sequence[Member], norms: Mapping[str, float], weights: np.ndarray, gammas: np.ndarray
) -> list[dict[str, Any]]:
    names = list(norms)
    n_single = sum(not member.is_mix for member in members)
    mixes = []
    for m, member in enumerate(members[n_single:]):
        own = [float(weights[m, names.index(name)]) for name in member.sources]
        mix: dict[str, Any] = {"member": member.name, "seed": member.seed, "weights": own}
        mix |= {"gamma": float(gammas[n_single + m]), "centre_of_gravity": centre_of_gravity(own)}
        mixes.append(mix | {"divergence": divergence(own), "norms": [norms[name] for name in member.sources]})
    return mixes
