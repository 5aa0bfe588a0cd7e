"""The GLUE tasks (Wang et al., 2019): columns, labels and main scores, for every edition of the data.

Editions are the files of gluebenchmark.com (TSV), those of the authors of the corpora (MultiNLI: JSON lines), and
``nyu-mll/glue`` on the hub. Main scores are those of Devlin et al. (2019), table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from .sequence import SequenceClassification, SequenceRegression, SequenceTask

__all__ = ["COLA", "GLUE", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST2", "STSB"]


def _on_hub(config: str, dev: str = "validation") -> dict[str, str]:
    return {split: f"hub:nyu-mll/glue:{config}:{name}" for split, name in (("train", "train"), ("dev", dev))}


@dataclass(frozen=True, kw_only=True)
class MNLI(SequenceClassification):
    """Does the premise entail the hypothesis, contradict it, or neither (Williams et al., 2018)?"""

    name: ClassVar[str] = "mnli"
    hub: ClassVar[Mapping[str, str]] = _on_hub("mnli", "validation_matched")
    first: str = "sentence1"
    second: str | None = "sentence2"
    label: str = "gold_label"
    labels: tuple[str, ...] = ("entailment", "neutral", "contradiction")
    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {
        "sentence1": ("premise",),
        "sentence2": ("hypothesis",),
        "gold_label": ("label",),
    }
    unlabelled: ClassVar[str | None] = "-"


@dataclass(frozen=True, kw_only=True)
class SST2(SequenceClassification):
    """Is a sentence of a film review positive (Socher et al., 2013)?"""

    name: ClassVar[str] = "sst2"
    hub: ClassVar[Mapping[str, str]] = _on_hub("sst2")
    labels: tuple[str, ...] = ("negative", "positive")
    spellings: ClassVar[Mapping[str, str]] = {"0": "negative", "1": "positive"}


@dataclass(frozen=True, kw_only=True)
class QQP(SequenceClassification):
    """Do two questions of Quora have the same meaning? A few invalid rows of its train.tsv are skipped, as usual."""

    name: ClassVar[str] = "qqp"
    metric: ClassVar[str] = "f1"
    hub: ClassVar[Mapping[str, str]] = _on_hub("qqp")
    first: str = "question1"
    second: str | None = "question2"
    label: str = "is_duplicate"
    bad_rows: Literal["refuse", "skip"] = "skip"
    labels: tuple[str, ...] = ("not_duplicate", "duplicate")
    spellings: ClassVar[Mapping[str, str]] = {"0": "not_duplicate", "1": "duplicate"}
    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {"is_duplicate": ("label",)}


@dataclass(frozen=True, kw_only=True)
class QNLI(SequenceClassification):
    """Does the sentence contain the answer to the question (from SQuAD)?"""

    name: ClassVar[str] = "qnli"
    hub: ClassVar[Mapping[str, str]] = _on_hub("qnli")
    first: str = "question"
    second: str | None = "sentence"
    labels: tuple[str, ...] = ("entailment", "not_entailment")


@dataclass(frozen=True, kw_only=True)
class COLA(SequenceClassification):
    """Is a sentence acceptable English (Warstadt et al., 2019)? Main score: Matthews correlation."""

    name: ClassVar[str] = "cola"
    metric: ClassVar[str] = "mcc"
    hub: ClassVar[Mapping[str, str]] = _on_hub("cola")
    labels: tuple[str, ...] = ("unacceptable", "acceptable")
    spellings: ClassVar[Mapping[str, str]] = {"0": "unacceptable", "1": "acceptable"}
    header: ClassVar[tuple[str, ...] | None] = ("source", "label", "star", "sentence")


@dataclass(frozen=True, kw_only=True)
class MRPC(SequenceClassification):
    """Do two sentences have the same meaning (Dolan and Brockett, 2005)?"""

    name: ClassVar[str] = "mrpc"
    metric: ClassVar[str] = "f1"
    hub: ClassVar[Mapping[str, str]] = _on_hub("mrpc")
    first: str = "sentence1"
    second: str | None = "sentence2"
    labels: tuple[str, ...] = ("not_equivalent", "equivalent")
    spellings: ClassVar[Mapping[str, str]] = {"0": "not_equivalent", "1": "equivalent"}
    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {
        "sentence1": ("#1 String",),
        "sentence2": ("#2 String",),
        "label": ("Quality",),
    }


@dataclass(frozen=True, kw_only=True)
class RTE(SequenceClassification):
    """Does the first sentence entail the second (the RTE challenges, 2005 to 2009)?"""

    name: ClassVar[str] = "rte"
    hub: ClassVar[Mapping[str, str]] = _on_hub("rte")
    first: str = "sentence1"
    second: str | None = "sentence2"
    labels: tuple[str, ...] = ("entailment", "not_entailment")


@dataclass(frozen=True, kw_only=True)
class STSB(SequenceRegression):
    """How similar are two sentences, from 0 to 5 (Cer et al., 2017)? Main score: Spearman correlation."""

    name: ClassVar[str] = "stsb"
    metric: ClassVar[str] = "spearman"
    hub: ClassVar[Mapping[str, str]] = _on_hub("stsb")
    first: str = "sentence1"
    second: str | None = "sentence2"
    label: str = "score"
    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {"score": ("label",)}


GLUE: Mapping[str, type[SequenceTask]] = {task.name: task for task in (MNLI, SST2, QQP, QNLI, COLA, MRPC, RTE, STSB)}
"""Name -> task."""
