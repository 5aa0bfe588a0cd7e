"""Natural-language inference pairs whose labels are correct by construction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .lexicon import Domain, Verb, domain_named
from .random_choices import RandomChoices, check_count
from .statements import Statement, Term, contradiction, realise, single_edits, unrelated
from .syntax import FlatTree, bracketed

__all__ = ["LABELS", "Pair", "generate_pairs"]

LABELS = ("entailment", "neutral", "contradiction")
_SUBJECTS = {"name": 40, "the": 20, "a": 12, "every": 9, "no": 5, "most": 4, "not every": 3}
_COPULAR_SUBJECTS = {"the": 60, "a": 10, "every": 10, "no": 6, "not every": 4}
_VERB_GROUPS = ("make", "change", "move", "perceive", "social")
_P_NEGATED = 0.2
_P_FILLER = 0.2
_MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """A premise, a hypothesis and the relation between them.

    Attributes
    ----------
    premise, hypothesis : str
        The two sentences.
    label : str
        "entailment", "neutral" or "contradiction".
    domain : str
        Name of the domain.
    premise_brackets, hypothesis_brackets : str
        The sentences as Penn Treebank brackets.
    premise_meaning : tuple of Statement
        The one or two statements that the premise joins by "and".
    hypothesis_meaning : Statement
        The one statement of the hypothesis.
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
    """Generate inference pairs.

    The pairs come in triples: one hypothesis with three premises, one for each label. The hypothesis alone therefore
    does not predict the label. No two triples share a hypothesis, and no two pairs share a premise.

    Parameters
    ----------
    n : int
        Number of pairs, at least 1. With the same seed, a smaller `n` gives a prefix.
    seed : int
        The same seed gives the same pairs on every Python version.
    domain : {"village", "laboratory"}
        The domain of the words.

    Returns
    -------
    list of Pair

    Raises
    ------
    OptionError
        If `n` is smaller than 1 or there is no such domain.

    Examples
    --------
    >>> from pyrepsim.studies.synthetic import generate_pairs
    >>> for pair in generate_pairs(3):
    ...     print(f"{pair.premise} | {pair.hypothesis} | {pair.label}")
    Clara was met by a gloomy uncle in the mill. | An uncle met Clara. | entailment
    A relative met Clara, and Hugo glimpsed the lamp. | An uncle met Clara. | neutral
    No relative met Clara, and Hanna cracked a drum. | An uncle met Clara. | contradiction
    """
    check_count(n, "pairs")
    maker = _PairMaker(domain_named(domain), RandomChoices("pairs", domain, seed))
    pairs: list[Pair] = []
    while len(pairs) < n:
        pairs.extend(maker.triple())
    return pairs[:n]


class _PairMaker:
    """Makes random triples of pairs and remembers the sentences that were used."""

    def __init__(self, domain: Domain, rng: RandomChoices) -> None:
        self.domain, self.rng = domain, rng
        self.seen: set[str] = set()

    def triple(self) -> list[Pair]:
        """Return three pairs with the same hypothesis, one for each label, in random order."""
        while True:
            meaning = self._hypothesis()
            hypothesis = self._realise(meaning, None)
            if hypothesis.text in self.seen:
                continue
            taken = {hypothesis.text}
            pairs = [
                pair
                for label in self.rng.sample(LABELS, 3)
                if (pair := self._pair(meaning, hypothesis, label, taken)) is not None
            ]
            if len(pairs) == 3:
                self.seen |= taken
                return pairs

    def _pair(self, meaning: Statement, hypothesis: FlatTree, label: str, taken: set[str]) -> Pair | None:
        """Return a pair with this label and a premise that is not in `taken`; None if no premise is found."""
        for _ in range(_MAX_TRIES):
            premise = self._premise(meaning, label)
            if premise is None:
                return None
            filler = self._filler(premise, meaning) if self.rng.chance(_P_FILLER) else None
            flat = self._realise(premise, filler)
            if flat.text in taken or flat.text in self.seen:
                continue
            taken.add(flat.text)
            return Pair(
                premise=flat.text,
                hypothesis=hypothesis.text,
                label=label,
                domain=self.domain.name,
                premise_brackets=bracketed(flat),
                hypothesis_brackets=bracketed(hypothesis),
                premise_meaning=(premise,) if filler is None else (premise, filler),
                hypothesis_meaning=meaning,
            )
        return None

    def _premise(self, meaning: Statement, label: str) -> Statement | None:
        rng, domain = self.rng, self.domain
        if label == "neutral":
            if rng.chance(0.35) and (weaker := single_edits(meaning, domain, stronger=False)):
                return rng.pick(weaker)
            other = unrelated(meaning, domain)
            if not other:
                return None
            return contradiction(rng.pick(other)) if rng.chance(_P_NEGATED) else rng.pick(other)
        premise = meaning if label == "entailment" else contradiction(meaning)
        for _ in range(rng.weighted({0: 2, 1: 5, 2: 3})):
            if stronger := single_edits(premise, domain, stronger=True):
                premise = rng.pick(stronger)
        return premise

    def _realise(self, statement: Statement, filler: Statement | None) -> FlatTree:
        """Return the sentence, sometimes in the passive if that does not change the scope of a quantifier."""
        subject, obj = statement.subject, statement.object
        passive = (
            obj is not None
            and subject.also is None
            and subject.det in ("name", "the", "a")
            and (obj.det != "a" or not statement.negated)
            and self.rng.chance(0.3)
        )
        return realise(statement, self.domain, passive=passive, filler=filler)

    def _hypothesis(self) -> Statement:
        return self._copular() if self.rng.chance(0.25) else self._event(self._subject(_SUBJECTS, "person"))

    def _copular(self) -> Statement:
        kind = self.rng.pick(("person", "animal", self.domain.object_kind))
        subject = replace(self._subject(_COPULAR_SUBJECTS, kind), adjective=None)
        form = self.rng.pick(self.domain.adjectives_by_kind[kind]).form
        return Statement(subject, adjectives=(form,), negated=subject.det == "the" and self.rng.chance(_P_NEGATED))

    def _event(self, subject: Term, avoid: tuple[str, ...] = ()) -> Statement:
        rng, domain = self.rng, self.domain
        verbs: list[Verb] = [
            verb
            for verb in domain.verbs
            if verb.group in _VERB_GROUPS and verb.group not in avoid and "person" in verb.subjects
        ]
        verb = rng.pick(verbs)
        place = rng.pick(domain.nouns["place"]).lemma if rng.chance(0.3) else None
        negated = subject.det in ("name", "the") and rng.chance(_P_NEGATED)
        return Statement(subject, verb.lemma, self._object(verb, subject), place, negated=negated)

    def _subject(self, dets: dict[str, int], kind: str) -> Term:
        det = self.rng.weighted(dets)
        if det == "name":
            return Term("name", self._name(""))
        noun = self.rng.pick(self.domain.nouns[kind])
        described = det not in ("the", "most") and self.rng.chance(0.25)
        return Term(det, noun.lemma, self.rng.pick(self.domain.adjectives_by_kind[kind]).form if described else None)

    def _object(self, verb: Verb, subject: Term) -> Term:
        rng, domain = self.rng, self.domain
        kind = rng.pick(verb.objects)
        # A person is named: if the worker is the only one, "the worker met a baker" has the baker as the worker.
        if kind == "person":
            return Term("name", self._name(subject.noun))
        noun = rng.pick(domain.nouns[kind]).lemma
        if rng.chance(0.5):
            return Term("the", noun)
        described = rng.chance(0.3)
        return Term("a", noun, rng.pick(domain.adjectives_by_kind[kind]).form if described else None)

    def _filler(self, premise: Statement, meaning: Statement) -> Statement:
        """Return an unrelated event: another person, and a verb of another group."""
        verbs = (self.domain.verb_by_lemma[part.verb].group for part in (premise, meaning) if part.verb is not None)
        names = " ".join(_names(premise) + _names(meaning))
        return self._event(Term("name", self._name(names)), tuple(verbs))

    def _name(self, excluded: str) -> str:
        names = self.domain.other_words["women"] + self.domain.other_words["men"]
        return self.rng.pick([name for name in names if name not in excluded.split()])


def _names(statement: Statement) -> list[str]:
    terms = [statement.subject] + ([statement.object] if statement.object else [])
    return [name for term in terms if term.det == "name" for name in (term.noun, term.also) if name]
