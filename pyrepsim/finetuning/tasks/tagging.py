"""A tag for each word of a sentence: parts of speech, and named entities."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...core.outputs import replacing
from ...data.tagged_files import TaggedSentence, holds_records, read_columns, read_records, read_treebank
from .base import Feature, Task
from .entities import OUTSIDE, as_iob2, entity_scores
from .word_pieces import IGNORED, encode_words

__all__ = ["EntityTagging", "PosTagging", "TaggingTask"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_WORDS = ("tokens", "words", "form")  # names of the column of words in records
_LEAST = 3  # a token between two special ones


@dataclass(frozen=True, kw_only=True)
class TaggingTask(Task):
    """What both taggers share. A word's label stands at its first subword (Devlin et al., 2019, section 5.3).

    A sentence of more than `max_length` tokens is cut: the words beyond have no target in training, and in scores the
    tag `beyond`.
    """

    suffix: ClassVar[str] = ".conll"
    beyond: ClassVar[str]
    """What is predicted for a word that the model did not see."""

    @abstractmethod
    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]: ...

    def head(self) -> dict[str, Any]:
        """A linear layer over each token: ``{"kind": "tokens", "labels": number of labels}``."""
        return {"kind": "tokens", "labels": len(self.labels)}

    def encode(self, examples: Sequence[TaggedSentence], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Token ids and ``labels``: that of a word at its first subword, -100 elsewhere.

        Raises
        ------
        TextError
            With file and line: a tag that the training examples do not have.
        ModelError
            A tokenizer without offsets: a slow one.
        OptionError
            `max_length` leaves no room for a word.
        """
        if max_length < _LEAST:
            raise OptionError(
                f"max_length must leave room for a word between special tokens: at least {_LEAST}, got {max_length}."
            )
        index = {label: i for i, label in enumerate(self.labels)}
        features: list[Feature] = []
        n_cut = n_beyond = 0
        encoded = encode_words([sentence.words for sentence in examples], tokenizer)
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
            n_beyond += len(sentence.words) - len(firsts)
            features.append(Feature({**inputs, "labels": targets}, example, extra=firsts))
        if n_cut:
            log.info("%d words of %d sentences lie beyond %d tokens", n_beyond, n_cut, max_length)
        return features

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> tuple[str, ...]:
        """For each word that the model saw the label of the largest of ``outputs["logits"]`` (tokens, labels)."""
        best = np.argmax(np.asarray(outputs["logits"])[list(feature.extra)], axis=-1)
        return tuple(self.labels[i] for i in best.tolist())

    def predict(
        self,
        examples: Sequence[TaggedSentence],
        features: Sequence[Feature],
        read_outs: Sequence[tuple[str, ...]],
    ) -> list[tuple[str, ...]]:
        """A tag for each word, `beyond` for those beyond the model's length."""
        tags = super().predict(examples, features, read_outs)
        return [
            (*seen, *[self.beyond] * (len(sentence.words) - len(seen)))
            for sentence, seen in zip(examples, tags, strict=True)
        ]

    def write(
        self,
        examples: Sequence[TaggedSentence],
        predictions: Sequence[Sequence[str]],
        path: str | os.PathLike[str],
    ) -> None:
        r"""Word, gold tag and predicted tag a line, with tabs between: what ``conlleval -d '\t'`` reads."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for sentence, tags in zip(examples, predictions, strict=True):
                for columns in zip(sentence.words, sentence.tags, tags, strict=True):
                    file.write("\t".join(columns) + "\n")
                file.write("\n")


def _cut(inputs: dict[str, list[int]], max_length: int) -> dict[str, list[int]]:
    """At most `max_length` tokens; the special ones at the end stay."""
    words = inputs["word_of_token"]
    length = len(words)
    if length <= max_length:
        return inputs
    n_last = next(i for i, word in enumerate(reversed(words)) if word != IGNORED)
    kept = [*range(max_length - n_last), *range(length - n_last, length)]
    return {name: [values[i] for i in kept] for name, values in inputs.items()}


def _first_tokens(word_of_token: Sequence[int]) -> tuple[int, ...]:
    """Where each word begins."""
    first: dict[int, int] = {}
    for position, word in enumerate(word_of_token):
        if word > 0:
            first.setdefault(word, position)
    return tuple(first[word] for word in sorted(first))


def _at_least_two(labels: Sequence[str]) -> tuple[str, ...]:
    if len(labels) < 2:
        raise TextError(
            f"A tagger needs two tags or more: the training data has {', '.join(labels) or 'none'}. Check the column "
            "of the tags."
        )
    return tuple(labels)


@dataclass(frozen=True, kw_only=True)
class PosTagging(TaggingTask):
    """Parts of speech. Score: accuracy over all words.

    Reads CoNLL-U (``.conllu``); JSON lines and data sets of the hub with lists of words and tags; else, a word and a
    tag a line.
    """

    name: ClassVar[str] = "pos"
    metric: ClassVar[str] = "accuracy"
    hub: ClassVar[Mapping[str, str]] = {
        split: f"hub:universal-dependencies/universal_dependencies:en_ewt:{theirs}"
        for split, theirs in (("train", "train"), ("dev", "validation"), ("test", "test"))
    }
    beyond: ClassVar[str] = "_"

    tags: Literal["upos", "xpos"] = "upos"
    """Universal, or the language's own parts of speech."""

    def __post_init__(self) -> None:
        if self.tags not in ("upos", "xpos"):
            raise OptionError(f"tags must be 'upos' or 'xpos': got {self.tags!r}.")

    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]:
        """Sentences of a file or of ``hub:owner/name:config:split``. TextError, with file and line, for broken ones."""
        if holds_records(source):
            return read_records(source, words=_WORDS, tags=(self.tags,))
        if os.fspath(source).lower().endswith(".conllu"):
            return read_treebank(source, self.tags)
        return read_columns(source, word=0, tag=-1)

    def fit(self, examples: Sequence[TaggedSentence]) -> Self:
        """With the tags of these sentences as labels, in alphabetical order."""
        return replace(self, labels=_at_least_two(sorted({tag for sentence in examples for tag in sentence.tags})))

    def score(self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
        """``accuracy`` = words with the right tag / words, in [0, 1]."""
        right = [
            tag == found
            for sentence, tags in zip(examples, predictions, strict=True)
            for tag, found in zip(sentence.tags, tags, strict=True)
        ]
        return {"accuracy": sum(right) / len(right)}


@dataclass(frozen=True, kw_only=True)
class EntityTagging(TaggingTask):
    """Named entities as IOB2 tags. Score: F1 over whole entities.

    Reads a word and a tag a line (CoNLL 2003, WNUT 2017), in IOB1, IOB2 or BIOES; JSON lines and data sets of the hub
    with lists of words and tags.
    """

    name: ClassVar[str] = "ner"
    metric: ClassVar[str] = "f1"
    hub: ClassVar[Mapping[str, str]] = {}
    beyond: ClassVar[str] = OUTSIDE

    word: int = 0
    """Column of the word, from 0; from the end if negative."""
    tag: int = -1
    """Column of the tag."""

    def read(self, source: str | os.PathLike[str]) -> list[TaggedSentence]:
        """Sentences of a file or of ``hub:owner/name:config:split``, their tags in IOB2.

        Raises TextError, with file and line, for broken ones and for tags that their scheme does not allow.
        """
        if holds_records(source):
            return as_iob2(read_records(source, words=_WORDS, tags=("ner_tags", "tags")))
        return as_iob2(read_columns(source, word=self.word, tag=self.tag))

    def fit(self, examples: Sequence[TaggedSentence]) -> Self:
        """With O, and B- and I- of each type of these sentences, in alphabetical order, as labels."""
        kinds = sorted({tag[2:] for sentence in examples for tag in sentence.tags if tag != OUTSIDE})
        return replace(self, labels=_at_least_two([OUTSIDE, *(f"{at}-{kind}" for kind in kinds for at in "BI")]))

    def score(self, examples: Sequence[TaggedSentence], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
        """``precision``, ``recall`` and ``f1`` of entities: `entities.entity_scores`."""
        return entity_scores([sentence.tags for sentence in examples], predictions)
