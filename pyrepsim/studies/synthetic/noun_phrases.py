"""Random noun phrases: names, quantifiers, adjectives, prepositional modifiers and relative clauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .annotations import SentenceBuilder
from .lexicon import Domain, Noun
from .random_choices import RandomChoices
from .syntax import Leaf, Part, Phrase, determiner, name_phrase, noun_phrase, possessive, prepositional, pronoun, word

__all__ = ["NounPhrases", "Referent"]

_SINGULAR = {"the": 50, "a": 25, "every": 6, "this": 6, "no": 3, "some": 3}
_PLURAL = {"the": 40, "some": 15, "many": 10, "two": 8, "three": 7, "four": 5, "most": 8, "these": 7}
_NUMBERS = ("two", "three", "four", "seven")
_ANIMATE = ("person", "animal")
_PREPOSITIONS = ("in", "near", "behind", "beside")


@dataclass(eq=False, slots=True)
class Referent:
    """A noun phrase and what it refers to."""

    node: Phrase
    kind: str
    plural: bool
    pronoun: str
    """Subject form of the pronoun that may replace it; empty if none may, as for *no baker*."""
    chain: list[Phrase]
    """All mentions of the referent so far."""

    @property
    def head(self) -> Leaf:
        return self.node.head


class NounPhrases:
    """Makes random noun phrases and records their entities, relations and mentions in `builder`."""

    def __init__(self, domain: Domain, rng: RandomChoices) -> None:
        self.domain, self.rng = domain, rng
        self.builder = SentenceBuilder(domain.name)
        self.relative_clause: Callable[[Referent], Phrase] | None = None

    def draw(self, kind: str, depth: int = 0, *, named: bool = True) -> Referent:
        """Return a noun phrase of this kind, with fewer modifiers at greater depth; `named=False` excludes names."""
        if not named:
            return self._common_noun_referent(kind, depth)
        first = self._simple(kind, depth)
        if depth or not first.pronoun or not self.rng.chance(0.06):
            return first
        second = self._simple(kind, 2)
        group = Phrase("", [("cc", word("and")), ("", second.node)])
        both = Phrase("NP", [("", first.node), ("conj", group)])
        return self._referent(both, kind, True, "they")

    def pronoun_for(self, referent: Referent) -> Referent:
        """Return a pronoun with the same referent, as a subject."""
        node = pronoun(referent.pronoun)
        referent.chain.append(node)
        return Referent(node, referent.kind, referent.plural, "", referent.chain)

    def location(self) -> Phrase:
        """Return ``the mill``, ``Ashford`` or ``Marsh School``."""
        others = self.domain.other_words
        if self.rng.chance(0.25):
            town = name_phrase(self.rng.pick(others["towns"]))
            self.builder.entities.append((town, "GPE"))
            return town
        if self.rng.chance(0.15):
            return self._institution()
        return self._base_phrase("place", plural=False, before=[determiner("the")])

    def location_phrase(self) -> Phrase:
        """Return ``in the mill`` or ``near Ashford``."""
        return prepositional(self.rng.pick(_PREPOSITIONS), self.location())

    def time_phrase(self) -> Phrase:
        """Return ``on Monday``, ``in March`` or ``at dawn``."""
        others = self.domain.other_words
        if self.rng.chance(0.6):
            date = name_phrase(self.rng.pick(others["dates"]))
            self.builder.entities.append((date, "DATE"))
            return prepositional("on" if date.head.form.endswith("day") else "in", date)
        hour = self.rng.pick(others["hours"])
        return prepositional("at", noun_phrase(Noun(hour, hour, "time", None, "")))

    def instrument_phrase(self) -> Phrase:
        """Return ``with a hammer``."""
        np = self._base_phrase("tool", plural=False, before=[determiner(self.rng.pick(("a", "the")))])
        return prepositional("with", np)

    def _simple(self, kind: str, depth: int) -> Referent:
        if kind == "person" and self.rng.chance(self.domain.style.named):
            return self._person_name()
        return self._common_noun_referent(kind, depth)

    def _common_noun_referent(self, kind: str, depth: int) -> Referent:
        rng = self.rng
        plural = rng.chance(self.domain.style.plural)
        before, pronominal = self._determiner(plural, depth)
        base = self._base_phrase(kind, plural=plural, before=before, adjective=self.domain.style.adjective)
        noun = self.domain.noun_by_lemma[base.head.lemma]
        gender = noun.gender or rng.pick("fm")
        subject = {"f": "she", "m": "he"}[gender] if kind == "person" else "it"
        after = self._modifier(base, kind, plural, depth)
        node = Phrase("NP", [("", base), *after]) if after else base
        return self._referent(node, kind, plural, ("they" if plural else subject) if pronominal else "")

    def _person_name(self) -> Referent:
        others = self.domain.other_words
        woman = self.rng.chance(0.5)
        name = self.rng.pick(others["women" if woman else "men"])
        if self.rng.chance(0.25):
            name += " " + self.rng.pick(others["surnames"])
        node = name_phrase(name)
        self.builder.entities.append((node, "PERSON"))
        return self._referent(node, "person", False, "she" if woman else "he")

    def _determiner(self, plural: bool, depth: int) -> tuple[list[Part], bool]:
        """Return a determiner or possessor, and whether a pronoun may replace the noun phrase."""
        if depth < 2 and self.rng.chance(0.12):
            owner = self._person_name().node
            return [("nmod:poss", possessive(owner))], True
        det = self.rng.weighted(_PLURAL if plural else _SINGULAR)
        part = determiner(det)
        if det in _NUMBERS:
            self.builder.entities.append((part[1], "CARDINAL"))
        return [part], det not in ("every", "no", "most")

    def _base_phrase(self, kind: str, *, plural: bool, before: list[Part], adjective: float = 0.15) -> Phrase:
        noun = self.rng.pick(self.domain.nouns[kind])
        words = self.domain.adjectives_by_kind[kind]
        adjectives = [self.rng.pick(words).form] if words and self.rng.chance(adjective) else []
        return noun_phrase(noun, before, plural=plural, adjectives=adjectives)

    def _modifier(self, base: Phrase, kind: str, plural: bool, depth: int) -> list[Part]:
        """Return at most one modifier that follows the noun, with its relation."""
        if depth > 1:
            return []
        rng, builder, head = self.rng, self.builder, base.head
        if self.relative_clause and depth == 0 and rng.chance(self.domain.style.relative):
            who = Referent(base, kind, plural, "", [])
            return [("acl:relcl", self.relative_clause(who))]
        if not rng.chance(0.2):
            return []
        if kind == "part":
            whole = self._base_phrase(self.domain.object_kind, plural=False, before=[determiner("the")])
            builder.relations.append((head, whole.head, "Component-Whole"))
            return [("nmod", prepositional("of", whole))]
        if kind in _ANIMATE:
            if kind == "person" and rng.chance(0.5):
                group = self._institution()
                builder.relations.append((head, group.head, "Member-Collection"))
                return [("nmod", prepositional("of", group))]
            town = name_phrase(rng.pick(self.domain.other_words["towns"]))
            builder.entities.append((town, "GPE"))
            builder.relations.append((head, town.head, "Entity-Origin"))
            return [("nmod", prepositional("from", town))]
        if kind not in ("place", "container"):
            box = self._base_phrase("container", plural=False, before=[determiner(rng.pick(("the", "a")))])
            builder.relations.append((head, box.head, "Content-Container"))
            return [("nmod", prepositional("in", box))]
        return []

    def _institution(self) -> Phrase:
        """Return a name such as Marsh School."""
        others = self.domain.other_words
        first = self.rng.pick(others["surnames"] + others["towns"])
        name = name_phrase(f"{first} {self.rng.pick(others['institutions'])}")
        self.builder.entities.append((name, "ORG"))
        return name

    def _referent(self, node: Phrase, kind: str, plural: bool, pronoun_form: str) -> Referent:
        chain = [node]
        self.builder.chains.append(chain)
        return Referent(node, kind, plural, pronoun_form, chain)
