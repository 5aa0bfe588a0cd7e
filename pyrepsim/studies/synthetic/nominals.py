"""Random noun phrases: names, quantifiers, adjectives, what stands in what, whose part it is, relative clauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .dice import Dice
from .lexicon import Domain, Noun
from .phrases import Part, determiner, name_phrase, noun_phrase, possessive, prepositional, pronoun, word
from .sentence import Draft
from .tree import Leaf, Phrase

__all__ = ["Nominals", "Referent"]

_SINGULAR = {"the": 50, "a": 25, "every": 6, "this": 6, "no": 3, "some": 3}
_PLURAL = {"the": 40, "some": 15, "many": 10, "two": 8, "three": 7, "four": 5, "most": 8, "these": 7}
_NUMBERS = ("two", "three", "four", "seven")
_ANIMATE = ("person", "animal")
_PREPOSITIONS = ("in", "near", "behind", "beside")


@dataclass(eq=False, slots=True)
class Referent:
    """A noun phrase and whom or what it speaks of."""

    node: Phrase
    kind: str
    plural: bool
    pronoun: str
    """Subject form of the pronoun that may take its place; empty where none may: *no baker*."""
    chain: list[Phrase]

    @property
    def head(self) -> Leaf:
        return self.node.head


class Nominals:
    """Makes noun phrases, and writes names, relations and mentions into the draft."""

    def __init__(self, domain: Domain, dice: Dice) -> None:
        self.domain, self.dice = domain, dice
        self.draft = Draft(domain.name)
        self.relative_clause: Callable[[Referent], Phrase] | None = None

    def anyone(self, kind: str, depth: int = 0, *, named: bool = True) -> Referent:
        """A noun phrase of this kind, `named` or not; with few modifiers deep inside another one."""
        if not named:
            return self._common_noun(kind, depth)
        first = self._single(kind, depth)
        if depth or not first.pronoun or not self.dice.chance(0.06):
            return first
        second = self._single(kind, 2)
        group = Phrase("", [("cc", word("and")), ("", second.node)])
        both = Phrase("NP", [("", first.node), ("conj", group)])
        return self._referent(both, kind, True, "they")

    def again(self, referent: Referent, case: str) -> Phrase:
        """A pronoun for someone spoken of."""
        node = pronoun(referent.pronoun, case)
        referent.chain.append(node)
        return node

    def building(self) -> Phrase:
        """``the mill``, ``Ashford`` or ``Marsh School``."""
        others = self.domain.others
        if self.dice.chance(0.25):
            town = name_phrase(self.dice.pick(others["towns"]))
            self.draft.entities.append((town, "GPE"))
            return town
        if self.dice.chance(0.15):
            return self._institution()
        return self._common("place", plural=False, before=[determiner("the")])

    def place(self) -> Phrase:
        """``in the mill``, ``near Ashford``."""
        return prepositional(self.dice.pick(_PREPOSITIONS), self.building())

    def time(self) -> Phrase:
        others = self.domain.others
        if self.dice.chance(0.6):
            date = name_phrase(self.dice.pick(others["dates"]))
            self.draft.entities.append((date, "DATE"))
            return prepositional("on" if date.head.form.endswith("day") else "in", date)
        hour = self.dice.pick(others["hours"])
        return prepositional("at", noun_phrase(Noun(hour, hour, "time", None, "")))

    def instrument(self) -> Phrase:
        """``with a hammer``."""
        np = self._common("tool", plural=False, before=[determiner(self.dice.pick(("a", "the")))])
        return prepositional("with", np)

    def _single(self, kind: str, depth: int) -> Referent:
        if kind == "person" and self.dice.chance(self.domain.style.named):
            return self._named()
        return self._common_noun(kind, depth)

    def _common_noun(self, kind: str, depth: int) -> Referent:
        dice = self.dice
        plural = dice.chance(self.domain.style.plural)
        before, pronominal = self._before(plural, depth)
        base = self._common(kind, plural=plural, before=before, adjective=self.domain.style.adjective)
        noun = self.domain.noun[base.head.lemma]
        gender = noun.gender or dice.pick("fm")
        subject = {"f": "she", "m": "he"}[gender] if kind == "person" else "it"
        after = self._after(base, kind, plural, depth)
        node = Phrase("NP", [("", base), *after]) if after else base
        return self._referent(node, kind, plural, ("they" if plural else subject) if pronominal else "")

    def _named(self) -> Referent:
        others = self.domain.others
        woman = self.dice.chance(0.5)
        name = self.dice.pick(others["women" if woman else "men"])
        if self.dice.chance(0.25):
            name += " " + self.dice.pick(others["surnames"])
        node = name_phrase(name)
        self.draft.entities.append((node, "PERSON"))
        return self._referent(node, "person", False, "she" if woman else "he")

    def _before(self, plural: bool, depth: int) -> tuple[list[Part], bool]:
        """What stands before the noun, and whether a pronoun may take the place of the whole."""
        if depth < 2 and self.dice.chance(0.12):
            owner = self._named().node
            return [("nmod:poss", possessive(owner))], True
        det = self.dice.weighted(_PLURAL if plural else _SINGULAR)
        part = determiner(det)
        if det in _NUMBERS:
            self.draft.entities.append((part[1], "CARDINAL"))
        return [part], det not in ("every", "no", "most")

    def _common(self, kind: str, *, plural: bool, before: list[Part], adjective: float = 0.15) -> Phrase:
        noun = self.dice.pick(self.domain.nouns[kind])
        words = self.domain.describing[kind]
        adjectives = [self.dice.pick(words).form] if words and self.dice.chance(adjective) else []
        return noun_phrase(noun, before, plural=plural, adjectives=adjectives)

    def _after(self, base: Phrase, kind: str, plural: bool, depth: int) -> list[Part]:
        """At most one modifier after the noun, with its relation to it."""
        if depth > 1:
            return []
        dice, draft, head = self.dice, self.draft, base.head
        if self.relative_clause and depth == 0 and dice.chance(self.domain.style.relative):
            who = Referent(base, kind, plural, "", [])
            return [("acl:relcl", self.relative_clause(who))]
        if not dice.chance(0.2):
            return []
        if kind == "part":
            whole = self._common(self.domain.thing, plural=False, before=[determiner("the")])
            draft.relations.append((head, whole.head, "Component-Whole"))
            return [("nmod", prepositional("of", whole))]
        if kind in _ANIMATE:
            if kind == "person" and dice.chance(0.5):
                group = self._institution()
                draft.relations.append((head, group.head, "Member-Collection"))
                return [("nmod", prepositional("of", group))]
            town = name_phrase(dice.pick(self.domain.others["towns"]))
            draft.entities.append((town, "GPE"))
            draft.relations.append((head, town.head, "Entity-Origin"))
            return [("nmod", prepositional("from", town))]
        if kind not in ("place", "container"):
            box = self._common("container", plural=False, before=[determiner(dice.pick(("the", "a")))])
            draft.relations.append((head, box.head, "Content-Container"))
            return [("nmod", prepositional("in", box))]
        return []

    def _institution(self) -> Phrase:
        """A name such as Marsh School."""
        others = self.domain.others
        first = self.dice.pick(others["surnames"] + others["towns"])
        name = name_phrase(f"{first} {self.dice.pick(others['institutions'])}")
        self.draft.entities.append((name, "ORG"))
        return name

    def _referent(self, node: Phrase, kind: str, plural: bool, pronoun_form: str) -> Referent:
        chain = [node]
        self.draft.chains.append(chain)
        return Referent(node, kind, plural, pronoun_form, chain)
