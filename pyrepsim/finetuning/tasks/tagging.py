"""One tag for each word of a sentence: parts of speech and named entities."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...core.outputs import replacing
from ...data.entity_tags import OUTSIDE, as_iob2
from ...data.tagged import (
    TaggedSentence,
    holds_records,
    read_tagged_columns,
    read_tagged_conllu,
    read_tagged_records,
)
from ..items import ItemScores
from .base import Feature, Task
from .scores import entity_scores
from .word_pieces import IGNORED, encode_words

__all__ = ["EntityTagging", "PosTagging", "TaggingTask"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_WORDS = ("tokens", "words", "form")  # names of the column of words in records
_MIN_LENGTH = 3  # one token between two special tokens


@dataclass(frozen=True, kw_only=True)
class TaggingTask(Task):
    """The part that both taggers share.

    The label of a word is at its first subword (Devlin et al., 2019, section 5.3).
    A sentence is cut to `max_length` tokens. The words after the cut have no target in training, and their predicted
    tag is `unseen_tag`.
    """

    suffix: ClassVar[str] = ".conll"
    unseen_tag: ClassVar[str]
    """The predicted tag of a word after the cut."""

    @abstractmethod
    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]: ...

    def head(self) -> dict[str, Any]:
        """Return the head's options: a linear layer over each token."""
        return {"kind": "tokens", "labels": len(self.labels)}

    def encode(self, examples: Sequence[TaggedSentence], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Make token ids and ``labels``: the label of a word at its first subword, -100 elsewhere.

        Raises
        ------
        TextError
            If a tag is not in the training examples. The message has the file and line.
        ModelError
            If the tokenizer is a slow one, without offsets.
        OptionError
            If `max_length` is too small for a word between special tokens.
        """
        if max_length < _MIN_LENGTH:
            raise OptionError(
                f"max_length must allow one token between special tokens: at least {_MIN_LENGTH}, got {max_length}."
            )
        index = {label: i for i, label in enumerate(self.labels)}
        features: list[Feature] = []
        n_cut = n_unseen = 0
        encoded = encode_words([sentence.words for sentence in examples], tokenizer, [each.where for each in examples])
        for example, (sentence, inputs) in enumerate(zip(examples, encoded, strict=True)):
            inputs = _cut(inputs, max_length)
            firsts = _first_tokens(inputs.pop("word_of_token"))
            targets = [IGNORED] * len(inputs["input_ids"])
            for word, tag in enumerate(sentence.tags):
                if tag not in index:
                    raise TextError(
                        f"Tags must be among those of the training data, {', '.join(self.labels)}: {sentence.at(word)} "
                        f"has {tag!r}. Correct it, or add sentences with this tag to the training data."
                    )
                if word < len(firsts):
                    targets[firsts[word]] = index[tag]
            n_cut += len(firsts) < len(sentence.words)
            n_unseen += len(sentence.words) - len(firsts)
            features.append(Feature({**inputs, "labels": targets}, example, extra=firsts))
        if n_cut:
            log.info("%d words of %d sentences are after the cut at %d tokens", n_unseen, n_cut, max_length)
        return features

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the label with the largest of ``outputs["logits"]`` (tokens, labels) for each word before the cut."""
        best = np.argmax(np.asarray(outputs["logits"])[list(feature.extra)], axis=-1)
        return tuple(self.labels[i] for i in best.tolist())

    def predict(
        self,
        examples: Sequence[TaggedSentence],
        features: Sequence[Feature],
        read_outs: Sequence[tuple[str, ...]],
    ) -> list[tuple[str, ...]]:
        """Return a tag for each word; `unseen_tag` after the cut."""
        tags = super().predict(examples, features, read_outs)
        return [
            (*seen, *[self.unseen_tag] * (len(sentence.words) - len(seen)))
            for sentence, seen in zip(examples, tags, strict=True)
        ]

    def write(
        self,
        examples: Sequence[TaggedSentence],
        predictions: Sequence[Sequence[str]],
        path: str | os.PathLike[str],
    ) -> None:
        r"""Write one line per word, with word, gold tag and predicted tag, as ``conlleval -d '\t'`` reads."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for sentence, tags in zip(examples, predictions, strict=True):
                for columns in zip(sentence.words, sentence.tags, tags, strict=True):
                    file.write("\t".join(columns) + "\n")
                file.write("\n")


def _cut(inputs: dict[str, list[int]], max_length: int) -> dict[str, list[int]]:
    """Keep at most `max_length` tokens, among them the special tokens at the end."""
    words = inputs["word_of_token"]
    length = len(words)
    if length <= max_length:
        return inputs
    n_last = next(i for i, word in enumerate(reversed(words)) if word != IGNORED)
    kept = [*range(max_length - n_last), *range(length - n_last, length)]
    return {name: [values[i] for i in kept] for name, values in inputs.items()}


def _first_tokens(word_of_token: Sequence[int]) -> tuple[int, ...]:
    """Return the position of the first token of each word."""
    first: dict[int, int] = {}
    for position, word in enumerate(word_of_token):
        if word > 0:
            first.setdefault(word, position)
    return tuple(first[word] for word in sorted(first))


def _at_least_two(labels: Sequence[str]) -> tuple[str, ...]:
    if len(labels) < 2:
        raise TextError(
            f"A tagger needs at least two tags: the training data has {', '.join(labels) or 'none'}. Check the column "
            "of the tags."
        )
    return tuple(labels)


@dataclass(frozen=True, kw_only=True)
class PosTagging(TaggingTask):
    r"""Part-of-speech tagging, scored by accuracy over all words.

    Reads CoNLL-U (``.conllu``), JSON lines and data sets of the hub with lists of words and tags, and other files with
    one word and tag per line.

    Parameters
    ----------
    tags : {"upos", "xpos"}, default "upos"
        Universal parts of speech, or those of the language.

    Examples
    --------
    >>> with open("train.tsv", "w") as file:
    ...     _ = file.write("the\tDET\nkeys\tNOUN\n\nrun\tVERB\n")
    >>> task = PosTagging()
    >>> examples = task.read("train.tsv")
    >>> task.fit(examples).labels
    ('DET', 'NOUN', 'VERB')
    >>> task.score(examples, [("DET", "NOUN"), ("NOUN",)])["accuracy"]
    0.6666666666666666
    """

    name: ClassVar[str] = "pos"
    metric: ClassVar[str] = "accuracy"
    hub: ClassVar[Mapping[str, str]] = {
        split: f"hub:universal-dependencies/universal_dependencies:en_ewt:{theirs}"
        for split, theirs in (("train", "train"), ("dev", "validation"), ("test", "test"))
    }
    unseen_tag: ClassVar[str] = "_"

    tags: Literal["upos", "xpos"] = "upos"

    def __post_init__(self) -> None:
        if self.tags not in ("upos", "xpos"):
            raise OptionError(f"tags must be 'upos' or 'xpos': got {self.tags!r}.")

    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]:
        """Read the sentences of a file or of ``hub:owner/name:config:split``."""
        if holds_records(source):
            return read_tagged_records(source, words=_WORDS, tags=(self.tags,))
        if os.fspath(source).lower().endswith(".conllu"):
            return read_tagged_conllu(source, self.tags)
        return read_tagged_columns(source, word=0, tag=-1)

    def fit(self, examples: Sequence[TaggedSentence]) -> Self:
        """Return the task with the tags of these sentences as labels, in alphabetical order."""
        return replace(self, labels=_at_least_two(sorted({tag for sentence in examples for tag in sentence.tags})))

    def score(self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Return ``accuracy`` = words with the correct tag / words, in [0, 1]."""
        correct = [
            tag == predicted
            for sentence, tags in zip(examples, predictions, strict=True)
            for tag, predicted in zip(sentence.tags, tags, strict=True)
        ]
        return {"accuracy": sum(correct) / len(correct)}

    def items(self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[str]]) -> ItemScores:
        """Return the number of words with the correct tag by sentence, as ``accuracy``, of its number of words."""
        correct = [
            sum(tag == predicted for tag, predicted in zip(sentence.tags, tags, strict=True))
            for sentence, tags in zip(examples, predictions, strict=True)
        ]
        sizes = np.array([len(sentence.tags) for sentence in examples], dtype=np.float64)
        return ItemScores({"accuracy": np.array(correct, dtype=np.float64)}, sizes, np.arange(len(sizes)))

    def constant_guess(self, examples: Sequence[TaggedSentence]) -> tuple[str, list[tuple[str, ...]]]:
        """Return the most frequent tag of the examples for each word."""
        (tag, _), *_ = Counter(tag for sentence in examples for tag in sentence.tags).most_common(1)
        return f"the most frequent tag, {tag!r},", [(tag,) * len(sentence.tags) for sentence in examples]


@dataclass(frozen=True, kw_only=True)
class EntityTagging(TaggingTask):
    r"""Named-entity recognition with IOB2 tags, scored by F1 over whole entities.

    Reads one word and tag per line (CoNLL 2003, WNUT 2017) in IOB1, IOB2 or BIOES, and JSON lines and data sets of the
    hub with lists of words and tags.

    Parameters
    ----------
    word, tag : int, default 0 and -1
        Index of the column of the word and of the tag, from 0; from the end if negative.

    Examples
    --------
    >>> with open("train.conll", "w") as file:
    ...     _ = file.write("New\tI-place\nYork\tI-place\nis\tO\n")
    >>> (example,) = EntityTagging().read("train.conll")
    >>> example.words, example.tags
    (('New', 'York', 'is'), ('B-place', 'I-place', 'O'))
    """

    name: ClassVar[str] = "ner"
    metric: ClassVar[str] = "f1"
    hub: ClassVar[Mapping[str, str]] = {}
    unseen_tag: ClassVar[str] = OUTSIDE

    word: int = 0
    tag: int = -1

    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]:
        """Read the sentences of a file or of ``hub:owner/name:config:split``, with tags in IOB2."""
        if holds_records(source):
            return as_iob2(read_tagged_records(source, words=_WORDS, tags=("ner_tags", "tags")))
        return as_iob2(read_tagged_columns(source, word=self.word, tag=self.tag))

    def fit(self, examples: Sequence[TaggedSentence]) -> Self:
        """Return the task with O, and B- and I- of each type of these sentences in alphabetical order, as labels."""
        kinds = sorted({tag[2:] for sentence in examples for tag in sentence.tags if tag != OUTSIDE})
        return replace(
            self, labels=_at_least_two([OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")])
        )

    def score(self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
        """Return ``precision``, ``recall`` and ``f1`` of entities, in [0, 1]: `scores.entity_scores`."""
        return entity_scores([sentence.tags for sentence in examples], predictions)
