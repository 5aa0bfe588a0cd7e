"""Words of a domain: nouns and verbs with their hypernyms and inflections, adjectives with antonyms, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Adjective", "Domain", "Noun", "Style", "Verb"]


@dataclass(frozen=True)
class Noun:
    lemma: str
    plural: str
    kind: str
    hypernym: str | None
    gender: str
    """"f" or "m" where the noun says it, else ""."""


@dataclass(frozen=True)
class Verb:
    lemma: str
    past: str
    participle: str
    group: str
    """What kind of event it is: make, change, move, perceive, social, transfer, act, happen, say or try."""
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    """Kinds of nouns it takes; no objects for an intransitive one."""
    hypernym: str | None

    @property
    def third(self) -> str:
        return _with_s(self.lemma)


@dataclass(frozen=True)
class Adjective:
    form: str
    kinds: tuple[str, ...]
    antonym: str | None


@dataclass(frozen=True)
class Style:
    """How often a domain uses a construction: probabilities."""

    passive: float
    relative: float
    plural: float
    negated: float
    named: float
    adjective: float
    fronted: float
    present: float


@dataclass(frozen=True)
class Domain:
    """All words of a domain, parsed from tables, and its `Style`."""

    name: str
    tables: Mapping[str, str]
    style: Style

    @cached_property
    def nouns(self) -> dict[str, tuple[Noun, ...]]:
        return {kind: tuple(_noun(word, kind) for word in words) for (kind,), words in _lines(self.tables["nouns"])}

    @cached_property
    def verbs(self) -> tuple[Verb, ...]:
        return tuple(_verb(word, *head) for head, words in _lines(self.tables["verbs"]) for word in words)

    @cached_property
    def adjectives(self) -> tuple[Adjective, ...]:
        found = []
        for (kinds,), words in _lines(self.tables["adjectives"]):
            for word in words:
                form, _, antonym = word.partition("~")
                found.append(Adjective(form, tuple(kinds.split("|")), antonym or None))
                if antonym:
                    found.append(Adjective(antonym, tuple(kinds.split("|")), form))
        return tuple(found)

    @cached_property
    def others(self) -> dict[str, tuple[str, ...]]:
        """Lists of words that do not inflect: women, men, surnames, towns, institutions, days, adverbs, ..."""
        return {name: tuple(words) for (name,), words in _lines(self.tables["others"])}

    @cached_property
    def noun(self) -> dict[str, Noun]:
        return {noun.lemma: noun for nouns in self.nouns.values() for noun in nouns}

    @cached_property
    def verb(self) -> dict[str, Verb]:
        return {verb.lemma: verb for verb in self.verbs}

    @cached_property
    def thing(self) -> str:
        """The kind of things that are made, broken and have parts."""
        return next(verb.objects[0] for verb in self.verbs if verb.group == "change")

    @cached_property
    def describing(self) -> dict[str, tuple[Adjective, ...]]:
        """Adjectives by the kind of noun they go with."""
        return {kind: tuple(word for word in self.adjectives if kind in word.kinds) for kind in self.nouns}

    @cached_property
    def general(self) -> frozenset[str]:
        """Lemmas of the hypernyms."""
        words = (*self.noun.values(), *self.verbs)
        return frozenset(word.hypernym for word in words if word.hypernym is not None)

    @cached_property
    def verbs_by_subject(self) -> dict[str, tuple[Verb, ...]]:
        return {kind: tuple(verb for verb in self.verbs if kind in verb.subjects) for kind in self.nouns}

    @cached_property
    def verbs_by_object(self) -> dict[str, tuple[Verb, ...]]:
        passive = [verb for verb in self.verbs if verb.group not in ("transfer", "say", "try")]
        return {kind: tuple(verb for verb in passive if kind in verb.objects) for kind in self.nouns}


def _lines(table: str) -> list[tuple[tuple[str, ...], list[str]]]:
    """`head words: entry entry ...` a line; deeper lines go on."""
    joined = re.sub(r"\n {4,}(?=\S)", " ", table.strip())
    split = (line.partition(":") for line in joined.splitlines())
    return [(tuple(head.split()), entries.split()) for head, _, entries in split]


def _noun(entry: str, kind: str) -> Noun:
    rest, _, gender = entry.partition("+")
    rest, _, hypernym = rest.partition("<")
    lemma, _, plural = rest.partition("/")
    return Noun(lemma, plural or _with_s(lemma), kind, hypernym or None, gender)


def _verb(entry: str, group: str, subjects: str, objects: str = "") -> Verb:
    forms, _, hypernym = entry.partition("<")
    lemma, past, participle = [*forms.split("/"), "", ""][:3]
    past = past or _with_ed(lemma)
    kinds = tuple(objects.split("|")) if objects else ()
    return Verb(lemma, past, participle or past, group, tuple(subjects.split("|")), kinds, hypernym or None)


def _with_s(word: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def _with_ed(word: str) -> str:
    if word.endswith("e"):
        return word + "d"
    return word[:-1] + "ied" if re.search(r"[^aeiou]y$", word) else word + "ed"
