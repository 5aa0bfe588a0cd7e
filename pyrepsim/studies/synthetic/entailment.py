"""Natural-language inference pairs whose labels hold by construction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...core.errors import OptionError
from .dice import Dice
from .domains import domain_named
from .edits import denied, elsewhere, neighbours
from .lexicon import Domain, Verb
from .statements import Statement, Term, written
from .tree import Laid, bracketed

__all__ = ["LABELS", "Pair", "generate_pairs"]

LABELS = ("entailment", "neutral", "contradiction")
_SUBJECTS = {"name": 40, "the": 20, "a": 12, "every": 9, "no": 5, "most": 4, "not every": 3}
_COPULAR_SUBJECTS = {"the": 60, "a": 10, "every": 10, "no": 6, "not every": 4}
_EVENTS = ("make", "change", "move", "perceive", "social")
_DENIED = 0.2
_FILLED = 0.2
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences and whether the first makes the second true, false or neither.

    `premise_meaning` has the statements the premise joins by ``and``: one or two. The hypothesis says one.
    """

    premise: str
    hypothesis: str
    label: str
    domain: str
    premise_brackets: str
    hypothesis_brackets: str
    premise_meaning: tuple[Statement, ...]
    hypothesis_meaning: Statement


def generate_pairs(n: int, *, seed: int = 0, domain: str = "village") -> list[Pair]:
    """Return `n` pairs, the same ones for the same seed; fewer are a prefix.

    They come in triples: one hypothesis under three premises, one of each label, so that a hypothesis alone says
    nothing about the label. No two triples share a hypothesis, no two pairs a premise. OptionError for another
    domain, or for fewer than 1.
    """
    if n < 1:
        raise OptionError(f"The number of pairs must be at least 1: got {n}.")
    maker = _Maker(domain_named(domain), Dice("pairs", domain, seed))
    pairs: list[Pair] = []
    while len(pairs) < n:
        pairs.extend(maker.triple())
    return pairs[:n]


class _Maker:
    def __init__(self, domain: Domain, dice: Dice) -> None:
        self.domain, self.dice = domain, dice
        self.seen: set[str] = set()

    def triple(self) -> list[Pair]:
        """Three pairs with the hypothesis in common, in random order."""
        while True:
            meaning = self._hypothesis()
            hypothesis = self._written(meaning, None)
            if hypothesis.text in self.seen:
                continue
            taken = {hypothesis.text}
            pairs = [
                pair
                for label in self.dice.sample(LABELS, 3)
                if (pair := self._pair(meaning, hypothesis, label, taken)) is not None
            ]
            if len(pairs) == 3:
                self.seen |= taken
                return pairs

    def _pair(self, meaning: Statement, hypothesis: Laid, label: str, taken: set[str]) -> Pair | None:
        """A pair of that label, its premise not among `taken`; None where the hypothesis does not lend itself."""
        for _ in range(_TRIES):
            premise = self._premise(meaning, label)
            if premise is None:
                return None
            filler = self._filler(premise, meaning) if self.dice.chance(_FILLED) else None
            laid = self._written(premise, filler)
            if laid.text in taken or laid.text in self.seen:
                continue
            taken.add(laid.text)
            said = (premise,) if filler is None else (premise, filler)
            return Pair(
                premise=laid.text,
                hypothesis=hypothesis.text,
                label=label,
                domain=self.domain.name,
                premise_brackets=bracketed(laid),
                hypothesis_brackets=bracketed(hypothesis),
                premise_meaning=said,
                hypothesis_meaning=meaning,
            )
        return None

    def _premise(self, meaning: Statement, label: str) -> Statement | None:
        dice, domain = self.dice, self.domain
        if label == "neutral":
            if dice.chance(0.35) and (weaker := neighbours(meaning, domain, stronger=False)):
                return dice.pick(weaker)
            other = elsewhere(meaning, domain)
            if not other:
                return None
            return denied(dice.pick(other)) if dice.chance(_DENIED) else dice.pick(other)
        premise = meaning if label == "entailment" else denied(meaning)
        for _ in range(dice.weighted({0: 2, 1: 5, 2: 3})):
            if stronger := neighbours(premise, domain, stronger=True):
                premise = dice.pick(stronger)
        return premise

    def _written(self, statement: Statement, filler: Statement | None) -> Laid:
        """In the passive now and then, where that leaves the meaning alone: no quantifier may change its scope."""
        subject, thing = statement.subject, statement.object
        passive = (
            thing is not None
            and subject.also is None
            and subject.det in ("name", "the", "a")
            and (thing.det != "a" or not statement.negated)
            and self.dice.chance(0.3)
        )
        return written(statement, self.domain, passive=passive, filler=filler)

    def _hypothesis(self) -> Statement:
        return self._copular() if self.dice.chance(0.25) else self._event(self._subject(_SUBJECTS, "person"))

    def _copular(self) -> Statement:
        kind = self.dice.pick(("person", "animal", self.domain.thing))
        subject = replace(self._subject(_COPULAR_SUBJECTS, kind), adjective=None)
        form = self.dice.pick(self.domain.describing[kind]).form
        return Statement(subject, adjectives=(form,), negated=subject.det == "the" and self.dice.chance(_DENIED))

    def _event(self, subject: Term, avoid: tuple[str, ...] = ()) -> Statement:
        dice, domain = self.dice, self.domain
        verbs: list[Verb] = [
            verb
            for verb in domain.verbs
            if verb.group in _EVENTS and verb.group not in avoid and "person" in verb.subjects
        ]
        verb = dice.pick(verbs)
        place = dice.pick(domain.nouns["place"]).lemma if dice.chance(0.3) else None
        negated = subject.det in ("name", "the") and dice.chance(_DENIED)
        return Statement(subject, verb.lemma, self._object(verb, subject), place, negated=negated)

    def _subject(self, dets: dict[str, int], kind: str) -> Term:
        det = self.dice.weighted(dets)
        if det == "name":
            return Term("name", self._name(""))
        noun = self.dice.pick(self.domain.nouns[kind])
        described = det not in ("the", "most") and self.dice.chance(0.25)
        return Term(det, noun.lemma, self.dice.pick(self.domain.describing[kind]).form if described else None)

    def _object(self, verb: Verb, subject: Term) -> Term:
        dice, domain = self.dice, self.domain
        kind = dice.pick(verb.objects)
        # Among people a name: "the worker met a baker" would say that they are one where there is one worker.
        if kind == "person":
            return Term("name", self._name(subject.noun))
        noun = dice.pick(domain.nouns[kind]).lemma
        if dice.chance(0.5):
            return Term("the", noun)
        described = dice.chance(0.3)
        return Term("a", noun, dice.pick(domain.describing[kind]).form if described else None)

    def _filler(self, premise: Statement, meaning: Statement) -> Statement:
        """Another event of someone else, of another group of verbs: it bears on nothing that the hypothesis says."""
        verbs = (self.domain.verb[said.verb].group for said in (premise, meaning) if said.verb is not None)
        names = " ".join(_names(premise) + _names(meaning))
        return self._event(Term("name", self._name(names)), tuple(verbs))

    def _name(self, taken: str) -> str:
        names = self.domain.others["women"] + self.domain.others["men"]
        return self.dice.pick([name for name in names if name not in taken.split()])


def _names(statement: Statement) -> list[str]:
    terms = [statement.subject] + ([statement.object] if statement.object else [])
    return [name for term in terms if term.det == "name" for name in (term.noun, term.also) if name]
