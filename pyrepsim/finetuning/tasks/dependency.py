"""Dependency parsing: a treebank, the words of its sentences in subwords, trees from scores."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...data.conllu import Sentence, read_conllu, universal, with_tree
from .base import Feature, Task
from .dependency_scores import evaluate
from .dependency_trees import decode
from .word_pieces import encode_words

__all__ = ["Dependency", "Parse", "decode", "evaluate"]

UNIVERSAL, FULL = "universal", "full"
_PTB_PUNCTUATION = frozenset(["``", "''", ":", ",", "."])


@dataclass(frozen=True)
class Parse:
    """A predicted tree: for each word its head, counted from 1 (0: the root), and the relation to it."""

    heads: tuple[int, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dependency(Task):
    """Parsing into the basic trees of a CoNLL-U treebank with a biaffine head.

    Parameters
    ----------
    words
        A word's vector: the ``"mean"`` of its subwords, or the ``"first"``. A word of which the tokenizer leaves
        nothing is read as its unknown token.
    relations
        ``"universal"`` labels arcs with the part before the colon ("nmod" of "nmod:poss"), as the CoNLL-18 shared
        task scores them; ``"full"`` with all of it.
    punctuation
        Whether punctuation counts in the scores: True for Universal Dependencies; False for the Penn Treebank. It
        is what has UPOS "PUNCT" or, without UPOS, one of the tags `` '' : , . in XPOS.
    decode
        ``"mst"``: the maximum spanning tree with one root, exactly; ``"argmax"``: each word's best head, which need
        not give a tree.
    long
        What to do with a sentence of more than `max_length` tokens: ``"error"``, or ``"drop"``: it is neither trained
        on nor parsed; when parsed, its words all depend on the first one with relation "dep", and are scored so.
    """

    name: ClassVar[str] = "dependency"
    metric: ClassVar[str] = "las"
    suffix: ClassVar[str] = ".conllu"
    hub: ClassVar[Mapping[str, str]] = {
        split: f"hub:universal-dependencies/universal_dependencies:en_ewt:{theirs}"
        for split, theirs in [("train", "train"), ("dev", "validation"), ("test", "test")]
    }

    words: Literal["mean", "first"] = "mean"
    relations: Literal["universal", "full"] = UNIVERSAL
    punctuation: bool = True
    decode: Literal["mst", "argmax"] = "mst"
    long: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        for option, allowed in [
            ("words", ("mean", "first")),
            ("relations", (UNIVERSAL, FULL)),
            ("decode", ("mst", "argmax")),
            ("long", ("error", "drop")),
        ]:
            if getattr(self, option) not in allowed:
                raise OptionError(f"{option} must be one of {', '.join(allowed)}: got {getattr(self, option)!r}.")

    def read(self, source: str | os.PathLike[str]) -> list[Sentence]:
        """Sentences of a CoNLL-U file, or of ``hub:owner/name:config:split``."""
        return read_conllu(source)

    def fit(self, examples: Sequence[Sentence]) -> Self:
        """The task with the relations of these sentences as labels, in alphabetical order."""
        found = {self._label(relation) for sentence in examples for relation in sentence.relations}
        return replace(self, labels=tuple(sorted(found)))

    def head(self) -> dict[str, Any]:
        if not self.labels:
            raise OptionError("A parser's relations are those of its training sentences: call fit on them first.")
        return {"kind": "biaffine", "relations": len(self.labels), "words": self.words}

    def encode(self, examples: Sequence[Sentence], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Subwords, ``word_of_token``, ``heads`` and ``relations``, as `BiaffineHead` takes them.

        A relation that `labels` lacks is no target, and can't be predicted: a warning says how many there are.

        Raises
        ------
        TextError
            A sentence of more than `max_length` tokens, unless ``long="drop"``.
        ModelError
            A tokenizer without offsets, or with no token that could stand for the root.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        features, unknown = [], []
        encoded = encode_words([sentence.words for sentence in examples], tokenizer)
        for number, (sentence, inputs) in enumerate(zip(examples, encoded, strict=True)):
            if len(inputs["input_ids"]) > max_length:
                if self.long == "drop":
                    continue
                raise TextError(
                    f"{sentence.where}: a sentence must fit the model: it has {len(inputs['input_ids'])} tokens, and "
                    f"max_length is {max_length}. Raise max_length, or set long='drop' to leave such sentences out."
                )
            relations = [self._label(relation) for relation in sentence.relations]
            unknown += [(label, sentence.where) for label in relations if label not in index]
            inputs["heads"] = list(sentence.heads)
            inputs["relations"] = [index.get(label, -100) for label in relations]
            features.append(Feature(inputs, number, len(sentence.words)))
        if unknown:
            warnings.warn(
                f"{unknown[0][1]}: relation {unknown[0][0]!r} is not among those of the training sentences; "
                f"{len(unknown)} such arcs are no targets, and count as wrong.",
                stacklevel=2,
            )
        return features

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> Parse:
        """The best tree of one sentence, from ``"arcs"`` (W, 1 + W) and ``"relations"`` (W, 1 + W)."""
        n_words = feature.extra
        arcs = np.asarray(outputs["arcs"])[:n_words, : n_words + 1]
        if self.decode == "mst":
            heads = decode(arcs[None], [n_words])[0]
        else:
            heads = arcs.argmax(axis=1)
        labels = np.asarray(outputs["relations"])[np.arange(n_words), heads].astype(np.int64)  # may come as floats
        return Parse(tuple(heads.tolist()), tuple(self.labels[label] for label in labels.tolist()))

    def predict(
        self, examples: Sequence[Sentence], features: Sequence[Feature], read_outs: Sequence[Parse]
    ) -> list[Parse]:
        """The parse of each sentence; a flat one of those that were dropped for their length."""
        parses = {feature.example: parse for feature, parse in zip(features, read_outs, strict=True)}
        return [parses.get(number) or _flat(len(sentence.words)) for number, sentence in enumerate(examples)]

    def score(self, examples: Sequence[Sentence], predictions: Sequence[Parse]) -> dict[str, float]:
        """Attachment scores, as fractions of words in [0, 1].

        ``uas`` = correct heads / words; ``las`` also asks for the universal relation; ``las_full`` for its subtype.
        """
        counts = {"uas": 0, "las": 0, "las_full": 0}
        words = 0
        for sentence, parse in zip(examples, predictions, strict=True):
            for i, (head, relation) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
                if not self.punctuation and _is_punctuation(sentence.upos[i], sentence.xpos[i]):
                    continue
                words += 1
                if parse.heads[i] == head:
                    counts["uas"] += 1
                    counts["las"] += universal(parse.relations[i]) == universal(relation)
                    counts["las_full"] += parse.relations[i] == relation
        if not words:
            raise TextError("Scores are shares of words: no word counts here. Score at least one sentence.")
        if self.relations == UNIVERSAL:
            del counts["las_full"]
        return {name: count / words for name, count in counts.items()}

    def write(self, examples: Sequence[Sentence], predictions: Sequence[Parse], path: str | os.PathLike[str]) -> None:
        """The sentences in CoNLL-U with the predicted trees; all but the trees as it was read."""
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            for sentence, parse in zip(examples, predictions, strict=True):
                file.write("\n".join(with_tree(sentence, parse.heads, parse.relations)) + "\n\n")

    def _label(self, relation: str) -> str:
        return relation if self.relations == FULL else universal(relation)


def _flat(n_words: int) -> Parse:
    return Parse((0,) + (1,) * (n_words - 1), ("root",) + ("dep",) * (n_words - 1))


def _is_punctuation(upos: str, xpos: str) -> bool:
    return upos == "PUNCT" or (upos in ("_", xpos) and xpos in _PTB_PUNCTUATION)
