"""Truth values of the statements of synthetic inference pairs in small random models, without code of the package.

A model has individuals, each with the nouns and adjectives that are true of it, and events (verb, agent, theme,
place).
With a noun or verb its hypernyms are true too; of two antonyms only one can be true.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

SIZE = 5


@dataclass
class Model:
    nouns: list[set[str]]
    adjectives: list[set[str]]
    names: dict[str, int]
    events: set[tuple[str, int, int, str]]


def terms_of(statement: Any) -> list[Any]:
    return [term for term in (statement.subject, statement.object) if term is not None]


class Cast:
    """The words that are relevant for two statements, with their hyponyms."""

    def __init__(self, statements: list[Any], domain: Any) -> None:
        terms = [term for statement in statements for term in terms_of(statement)]
        self.statements = statements
        self.common = [term for term in terms if term.det != "name"]
        self.under = {term.noun: under(term.noun, domain.noun_by_lemma) for term in self.common}
        self.antonym = {word.form: word.antonym for word in domain.adjectives}
        forms = {term.adjective for term in self.common if term.adjective}
        forms |= {form for statement in statements for form in statement.adjectives}
        self.forms = sorted(forms | {self.antonym[form] for form in forms if self.antonym[form]})
        self.names = sorted({name for term in terms if term.det == "name" for name in (term.noun, term.also) if name})
        verbs = [statement.verb for statement in statements if statement.verb]
        self.verbs = [each for verb in verbs for each in under(verb, domain.verb_by_lemma)]
        self.places = [*sorted({statement.place for statement in statements if statement.place}), "nowhere"]

    def model(self, rng: random.Random) -> Model:
        """A model with individuals for the terms, and with none, some, most or all of the possible events.

        This way few models show which truth values are possible.
        """
        likely = rng.choice((0.2, 0.5, 0.8, 1.0))
        nouns: list[set[str]] = []
        described: list[set[str]] = []
        for _ in range(SIZE):
            term = rng.choice([*self.common, None])
            nouns.append(set(rng.choice(self.under[term.noun])) if term else set())
            has = {term.adjective} if term and term.adjective and rng.random() < likely else set()
            for form in rng.sample(self.forms, len(self.forms)):
                if rng.random() < likely and self.antonym[form] not in has:
                    has.add(form)
            described.append(has)
        where = dict(zip(self.names, rng.sample(range(SIZE), len(self.names)), strict=True))
        place, steady = rng.choice(self.places), rng.random() < 0.5
        density = rng.choice((0.0, 0.05, 0.3, 1.0))
        events: set[tuple[str, int, int, str]] = set()
        for above in rng.sample(self.verbs, min(len(self.verbs), 2)):
            for agent in range(SIZE):
                for theme in range(SIZE):
                    if rng.random() < density:
                        at = place if steady else rng.choice(self.places)
                        events |= {(verb, agent, theme, at) for verb in above}
        return Model(nouns, described, where, events)


def under(lemma: str, words: Any) -> list[list[str]]:
    """The word and all its hyponyms, each with its hypernyms."""
    return [lemmas for low in words if lemma in (lemmas := line(low, words))]


def line(lemma: str, words: Any) -> list[str]:
    lemmas = [lemma]
    while words[lemmas[-1]].hypernym is not None:
        lemmas.append(words[lemmas[-1]].hypernym)
    return lemmas


def admissible(model: Model, statements: list[Any]) -> bool:
    """Whether presuppositions hold: exactly one N for ``the N``, at least one for a noun with a quantifier."""
    for statement in statements:
        for term in terms_of(statement):
            if term.det == "the" and len(extension(term, model)) != 1:
                return False
            if term.det not in ("the", "name") and not extension(term, model):
                return False
    return True


def extension(term: Any, model: Model) -> list[int]:
    return [
        i
        for i in range(SIZE)
        if term.noun in model.nouns[i] and (term.adjective is None or term.adjective in model.adjectives[i])
    ]


def true(statement: Any, model: Model) -> bool:
    subject = statement.subject
    if subject.det in ("name", "the"):
        who = (
            [model.names[name] for name in (subject.noun, subject.also) if name]
            if subject.det == "name"
            else (extension(subject, model))
        )
        return all(holds(statement, i, model) for i in who) != statement.negated
    among = extension(subject, model)
    yes = sum(holds(statement, i, model) for i in among)
    return {
        "a": yes > 0,
        "no": yes == 0,
        "every": yes == len(among),
        "not every": yes < len(among),
        "most": 2 * yes > len(among),
    }[subject.det]


def holds(statement: Any, agent: int, model: Model) -> bool:
    """Whether the statement is true of this individual, without regard to a negation."""
    if statement.verb is None:
        return all(form in model.adjectives[agent] for form in statement.adjectives)
    term = statement.object
    themes = [model.names[term.noun]] if term.det == "name" else extension(term, model)
    return any(
        verb == statement.verb and who == agent and theme in themes and statement.place in (None, place)
        for verb, who, theme, place in model.events
    )


def judged(premise: Any, hypothesis: Any, domain: Any, rng: random.Random, *, models: int, expect: Any) -> Any:
    """Truth values of (premise, hypothesis) in `models` random models, and in more until all of `expect` occur."""
    cast = Cast([premise, hypothesis], domain)
    met: set[tuple[bool, bool]] = set()
    for tried in range(400 * models):
        if tried >= models and expect <= met:
            break
        model = cast.model(rng)
        if admissible(model, cast.statements):
            met.add((true(premise, model), true(hypothesis, model)))
    return met
