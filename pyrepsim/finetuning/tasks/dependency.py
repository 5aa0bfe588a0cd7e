"""Dependency parsing: sentences of a treebank, their subwords, trees from scores."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...core.outputs import replacing
from ...data.conllu import Sentence, read_conllu, universal_relation, with_tree
from ...inference.groups import group_numbers
from ..items import ItemScores
from .base import Feature, Task
from .dependency_scores import evaluate
from .dependency_trees import decode
from .word_pieces import encode_words

__all__ = ["Dependency", "Parse", "decode", "evaluate"]

UNIVERSAL, FULL = "universal", "full"
_PTB_PUNCTUATION = frozenset(["``", "''", ":", ",", "."])


@dataclass(frozen=True)
class Parse:
    """A predicted tree: the head of each word, counted from 1 (0: the root), and the relation to it."""

    heads: tuple[int, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dependency(Task):
    """Parsing into the basic trees of a CoNLL-U treebank with a biaffine head (Dozat and Manning 2017).

    Parameters
    ----------
    words : {"mean", "first"}, default "mean"
        The vector of a word: the mean over its subwords, or the first one. A word without any token is replaced by the
        unknown token.
    relations : {"universal", "full"}, default "universal"
        Labels of arcs: the part before the colon ("nmod" of "nmod:poss"), as in the scores of the CoNLL-18 shared task,
        or the whole relation.
    punctuation : bool, default True
        Whether punctuation counts in the scores: True for Universal Dependencies, False for the Penn Treebank. A word
        is punctuation if its UPOS is "PUNCT" or, without UPOS, its XPOS is one of `` '' : , .
    decode : {"mst", "argmax"}, default "mst"
        The maximum spanning tree with one root (exact), or the best head of each word, which may not give a tree.
    long : {"error", "drop"}, default "error"
        For a sentence of more than `max_length` tokens: raise TextError, or leave it out of training and predict a flat
        tree, in which all words depend on the first one with relation "dep".

    Examples
    --------
    >>> from pyrepsim.finetuning.tasks import get_task
    >>> get_task("dependency(punctuation=False)").metric
    'las'
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
        """Read the sentences of a CoNLL-U file, or of ``hub:owner/name:config:split``."""
        return read_conllu(source)

    def fit(self, examples: Sequence[Sentence]) -> Self:
        """Return the task with the relations of these sentences as labels, in alphabetical order."""
        labels = {self._label(relation) for sentence in examples for relation in sentence.relations}
        return replace(self, labels=tuple(sorted(labels)))

    def head(self) -> dict[str, Any]:
        if not self.labels:
            raise OptionError("A parser must know its relations: call fit with the training sentences first.")
        return {"kind": "biaffine", "relations": len(self.labels), "words": self.words}

    def encode(self, examples: Sequence[Sentence], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Make subwords, ``word_of_token``, ``heads`` and ``relations``, the inputs of `BiaffineHead`.

        A relation that is not in `labels` is not a target and cannot be predicted; a warning has their number.

        Raises
        ------
        TextError
            If a sentence has more than `max_length` tokens, unless ``long="drop"``.
        ModelError
            If the tokenizer has no offsets, or no token for the root.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        features, unknown = [], []
        encoded = encode_words([sentence.words for sentence in examples], tokenizer, [each.where for each in examples])
        for number, (sentence, inputs) in enumerate(zip(examples, encoded, strict=True)):
            if len(inputs["input_ids"]) > max_length:
                if self.long == "drop":
                    continue
                raise TextError(
                    f"{sentence.where}: a sentence must fit the model: it has {len(inputs['input_ids'])} tokens, and "
                    f"max_length is {max_length}. Raise max_length, or leave such sentences out with long='drop'."
                )
            relations = [self._label(relation) for relation in sentence.relations]
            unknown += [(label, sentence.where) for label in relations if label not in index]
            inputs["heads"] = list(sentence.heads)
            inputs["relations"] = [index.get(label, -100) for label in relations]
            features.append(Feature(inputs, number, len(sentence.words)))
        if unknown:
            warnings.warn(
                f"{unknown[0][1]}: relation {unknown[0][0]!r} is not among those of the training sentences; "
                f"{len(unknown)} such arcs are not targets, and count as wrong.",
                stacklevel=2,
            )
        return features

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> Parse:
        """Return the best tree of one sentence, from ``"arcs"`` (W, 1 + W) and ``"relations"`` (W, 1 + W)."""
        n_words = feature.extra
        arcs = np.asarray(outputs["arcs"])[:n_words, : n_words + 1]
        if self.decode == "mst":
            heads = decode(arcs[None], [n_words])[0]
        else:
            heads = arcs.argmax(axis=1)
        labels = np.asarray(outputs["relations"])[np.arange(n_words), heads].astype(np.int64)  # may be floats
        return Parse(tuple(heads.tolist()), tuple(self.labels[label] for label in labels.tolist()))

    def predict(
        self, examples: Sequence[Sentence], features: Sequence[Feature], read_outs: Sequence[Parse]
    ) -> list[Parse]:
        """Return the parse of each sentence; a flat one if it was left out for its length."""
        parses = {feature.example: parse for feature, parse in zip(features, read_outs, strict=True)}
        return [parses.get(number) or _flat(len(sentence.words)) for number, sentence in enumerate(examples)]

    def score(self, examples: Sequence[Sentence], predictions: Sequence[Parse]) -> dict[str, float]:
        """Return attachment scores in [0, 1], as fractions of words.

        ``uas``: the head is correct. ``las``: the head and the universal relation are correct. ``las_full``, if whole
        relations are predicted: the head and the whole relation are correct.
        """
        items = self.items(examples, predictions)
        if not items.sizes.sum():
            raise TextError("Scores are fractions of words: there is no word to count. Score at least one sentence.")
        return {name: items.score(name) for name in items.scores}

    def items(self, examples: Sequence[Sentence], predictions: Sequence[Parse]) -> ItemScores:
        """Return the number of correct arcs by sentence, as ``uas``, ``las`` and ``las_full``, of its number of words.

        The sentences of a document (``# newdoc``) are one group; without documents, each sentence is one.
        """
        names = ("uas", "las") if self.relations == UNIVERSAL else ("uas", "las", "las_full")
        correct = np.zeros((len(names), len(examples)))
        sizes = np.zeros(len(examples))
        for number, (sentence, parse) in enumerate(zip(examples, predictions, strict=True)):
            for i, (head, relation) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
                if not self.punctuation and _is_punctuation(sentence.upos[i], sentence.xpos[i]):
                    continue
                sizes[number] += 1
                if parse.heads[i] == head:
                    predicted = parse.relations[i]
                    same = universal_relation(predicted) == universal_relation(relation)
                    correct[:, number] += (1, same, predicted == relation)[: len(names)]
        documents = (sentence.document or number for number, sentence in enumerate(examples))
        return ItemScores(dict(zip(names, correct, strict=True)), sizes, group_numbers(documents))

    def constant_guess(self, examples: Sequence[Sentence]) -> tuple[str, list[Parse]]:
        """Return trees in which each word depends on the next one, with the most frequent relation of the examples."""
        counted = Counter(relation for sentence in examples for relation in sentence.relations)
        (relation, _), *_ = counted.most_common(1)
        parses = []
        for sentence in examples:
            n = len(sentence.words)
            parses.append(Parse((*range(2, n + 1), 0), (relation,) * (n - 1) + ("root",)))
        return f"a chain of {relation!r} to the next word", parses

    def write(self, examples: Sequence[Sentence], predictions: Sequence[Parse], path: str | os.PathLike[str]) -> None:
        """Write the sentences in CoNLL-U with the predicted trees; everything else is as read."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for sentence, parse in zip(examples, predictions, strict=True):
                file.write("\n".join(with_tree(sentence, parse.heads, parse.relations)) + "\n\n")

    def _label(self, relation: str) -> str:
        return relation if self.relations == FULL else universal_relation(relation)


def _flat(n_words: int) -> Parse:
    return Parse((0,) + (1,) * (n_words - 1), ("root",) + ("dep",) * (n_words - 1))


def _is_punctuation(upos: str, xpos: str) -> bool:
    return upos == "PUNCT" or (upos in ("_", xpos) and xpos in _PTB_PUNCTUATION)
