"""What the pairs of the inference task say: statements of subject, verb and object, and how they are written.

Truth, in a model of individuals and events: ``a``, ``every``, ``no``, ``most`` (more than half) and ``not every`` range
over the individuals that the noun and its adjective hold of; ``the N`` is the one N there is; an event of a verb is one
of its hypernym too, and is where its place says; what is denied holds of no event.
"""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Domain
from .phrases import Part, determiner, name_phrase, noun_phrase, prepositional, sentence_of, verb_phrase, word
from .tree import Laid, Leaf, Phrase, lay_out

__all__ = ["Statement", "Term", "written"]


@dataclass(frozen=True, slots=True)
class Term:
    """Someone or something: a name (or two, for both of them), or a quantified noun."""

    det: str
    """``"name"``, ``"the"``, ``"a"``, ``"every"``, ``"no"``, ``"most"`` or ``"not every"``."""
    noun: str
    """A lemma, or the name."""
    adjective: str | None = None
    also: str | None = None
    """The second name of ``Anna and Ben``."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause. Its verb has an object; without a verb it says that adjectives hold of the subject."""

    subject: Term
    verb: str | None = None
    object: Term | None = None
    place: str | None = None
    adjectives: tuple[str, ...] = ()
    negated: bool = False


def written(statement: Statement, domain: Domain, *, passive: bool = False, filler: Statement | None = None) -> Laid:
    """The sentence that says it; with a `filler`, ``..., and`` the filler."""
    clause = _clause(statement, domain, passive)
    if filler is not None:
        parts: list[Part] = [("punct", word(",")), ("cc", word("and")), ("", _clause(filler, domain, False))]
        clause = Phrase("S", [("", clause), ("conj", Phrase("", parts))])
    clause.parts.append(("punct", word(".")))
    return lay_out(clause)


def _clause(statement: Statement, domain: Domain, passive: bool) -> Phrase:
    subject, thing = statement.subject, statement.object
    plural = subject.det == "most" or subject.also is not None
    if thing is None or statement.verb is None:
        vp = verb_phrase(None, plural=plural, negated=statement.negated, predicate=_adjectives(statement.adjectives))
        return sentence_of(_term(subject, domain, False), vp)
    verb = domain.verb[statement.verb]
    place: list[Part] = []
    if statement.place is not None:
        where = noun_phrase(domain.noun[statement.place], [determiner("the")])
        place = [("obl", prepositional("in", where))]
    if passive:
        agent: Part = ("obl:agent", prepositional("by", _term(subject, domain, False)))
        vp = verb_phrase(verb, [agent, *place], negated=statement.negated, passive=True)
        return sentence_of(_term(thing, domain, False), vp, relation="nsubj:pass")
    denied = statement.negated or subject.det == "no"
    vp = verb_phrase(verb, [("obj", _term(thing, domain, denied)), *place], plural=plural, negated=statement.negated)
    return sentence_of(_term(subject, domain, False), vp)


def _term(term: Term, domain: Domain, denied: bool) -> Phrase:
    if term.det == "name":
        if term.also is None:
            return name_phrase(term.noun)
        second = Phrase("", [("cc", word("and")), ("", name_phrase(term.also))])
        return Phrase("NP", [("", name_phrase(term.noun)), ("conj", second)])
    det = "any" if term.det == "a" and denied else term.det
    described = () if term.adjective is None else (term.adjective,)
    return noun_phrase(domain.noun[term.noun], [determiner(det)], plural=det == "most", adjectives=described)


def _adjectives(forms: tuple[str, ...]) -> Phrase:
    first, *rest = (Phrase("ADJP", [("", Leaf(form, form, "ADJ", "JJ", "Degree=Pos"))]) for form in forms)
    if not rest:
        return first
    return Phrase("ADJP", [("", first), ("conj", Phrase("", [("cc", word("and")), ("", rest[0])]))])
