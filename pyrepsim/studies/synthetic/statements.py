"""Statements of the inference pairs: what they mean, how they are written, and edits with a known effect on truth.

A statement is true or false in a model of individuals and events. ``a``, ``every``, ``no``, ``most`` (more than half)
and ``not every`` quantify over the individuals that the noun and its adjective describe; ``the N`` is the only N. An
event of a verb is also an event of the verb's hypernym. A negated statement is true if no such event exists.

The edits follow natural logic. In an upward-monotone position, a hyponym or an added modifier makes a statement
stronger. In a downward-monotone position (under negation, after ``no`` and ``every``), a hypernym or a removed modifier
does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .lexicon import Domain, Noun, Verb
from .syntax import (
    FlatTree,
    Part,
    Phrase,
    adjective,
    determiner,
    flatten,
    name_phrase,
    noun_phrase,
    prepositional,
    sentence_of,
    verb_phrase,
    word,
)

__all__ = ["Statement", "Term", "contradiction", "realise", "single_edits", "unrelated"]


@dataclass(frozen=True, slots=True)
class Term:
    """The subject or object of a statement: a name, two names joined by "and", or a quantified noun."""

    det: str
    """Determiner: "name", "the", "a", "every", "no", "most" or "not every"."""
    noun: str
    """Lemma of the noun, or the name."""
    adjective: str | None = None
    also: str | None = None
    """The second name, as Ben in ``Anna and Ben``."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause: subject, verb and object; or, without a verb, a copula with adjectives (``the mill was old``)."""

    subject: Term
    verb: str | None = None
    object: Term | None = None
    place: str | None = None
    adjectives: tuple[str, ...] = ()
    negated: bool = False


def realise(
    statement: Statement, domain: Domain, *, passive: bool = False, filler: Statement | None = None
) -> FlatTree:
    """Return the sentence that expresses the statement; a `filler` is joined to it by ", and"."""
    clause = _clause(statement, domain, passive)
    if filler is not None:
        parts: list[Part] = [("punct", word(",")), ("cc", word("and")), ("", _clause(filler, domain, False))]
        clause = Phrase("S", [("", clause), ("conj", Phrase("", parts))])
    clause.parts.append(("punct", word(".")))
    return flatten(clause)


def _clause(statement: Statement, domain: Domain, passive: bool) -> Phrase:
    subject, obj = statement.subject, statement.object
    plural = subject.det == "most" or subject.also is not None
    if obj is None or statement.verb is None:
        vp = verb_phrase(None, plural=plural, negated=statement.negated, predicate=_adjectives(statement.adjectives))
        return sentence_of(_term(subject, domain, False), vp)
    verb = domain.verb_by_lemma[statement.verb]
    place: list[Part] = []
    if statement.place is not None:
        where = noun_phrase(domain.noun_by_lemma[statement.place], [determiner("the")])
        place = [("obl", prepositional("in", where))]
    if passive:
        agent: Part = ("obl:agent", prepositional("by", _term(subject, domain, False)))
        vp = verb_phrase(verb, [agent, *place], negated=statement.negated, passive=True)
        return sentence_of(_term(obj, domain, False), vp, relation="nsubj:pass")
    negated = statement.negated or subject.det == "no"
    vp = verb_phrase(verb, [("obj", _term(obj, domain, negated)), *place], plural=plural, negated=statement.negated)
    return sentence_of(_term(subject, domain, False), vp)


def _term(term: Term, domain: Domain, negated: bool) -> Phrase:
    if term.det == "name":
        if term.also is None:
            return name_phrase(term.noun)
        second = Phrase("", [("cc", word("and")), ("", name_phrase(term.also))])
        return Phrase("NP", [("", name_phrase(term.noun)), ("conj", second)])
    det = "any" if term.det == "a" and negated else term.det
    adjectives = () if term.adjective is None else (term.adjective,)
    return noun_phrase(domain.noun_by_lemma[term.noun], [determiner(det)], plural=det == "most", adjectives=adjectives)


def _adjectives(forms: tuple[str, ...]) -> Phrase:
    first, *rest = (Phrase("ADJP", [("", adjective(form))]) for form in forms)
    if not rest:
        return first
    return Phrase("ADJP", [("", first), ("conj", Phrase("", [("cc", word("and")), ("", rest[0])]))])


# Whether the position is upward monotone, by determiner
_UPWARD_IN_NOUN = {"a": True, "not every": True, "every": False, "no": False}
_UPWARD_IN_VERB = {
    "name": True,
    "the": True,
    "a": True,
    "every": True,
    "most": True,
    "no": False,
    "not every": False,
}
_STRONGER = {"a": ("most", "every"), "most": ("every",), "not every": ("no",)}
_CONTRADICTORY = {"a": "no", "no": "a", "every": "not every", "not every": "every", "most": "no"}


def single_edits(statement: Statement, domain: Domain, *, stronger: bool) -> list[Statement]:
    """Return statements that differ by one edit: those that entail this one, or, with `stronger=False`, weaker ones.

    A weaker statement is entailed by this one and does not entail it.
    """
    subject, obj = statement.subject, statement.object
    up = _UPWARD_IN_VERB[subject.det] != statement.negated
    statements = [replace(statement, subject=term) for term in _subject_edits(subject, domain, stronger)]
    if obj is not None and statement.verb is not None:
        if obj.det == "a":
            statements += [replace(statement, object=term) for term in _term_edits(obj, domain, up == stronger)]
        statements += [replace(statement, verb=verb) for verb in _verb_edits(statement.verb, domain, up == stronger)]
        if statement.place is None:
            places = domain.nouns["place"] if up == stronger else ()
            statements += [replace(statement, place=place.lemma) for place in places[:4]]
        elif up != stronger:
            statements.append(replace(statement, place=None))
        joinable = up and stronger and subject.det == "name" and subject.also is None
        for name in domain.other_words["women"] if joinable else ():
            if name not in (subject.noun, obj.noun):
                statements.append(replace(statement, subject=replace(subject, also=name)))
    else:
        statements += _adjective_edits(statement, domain, up=up, stronger=stronger)
        statements = [each for each in statements if not _is_redundant(each, domain)]
    return statements


def contradiction(statement: Statement) -> Statement:
    """Return a statement that contradicts this one."""
    subject = statement.subject
    if subject.det in ("name", "the"):
        return replace(statement, negated=not statement.negated)
    return replace(statement, subject=replace(subject, det=_CONTRADICTORY[subject.det]))


def unrelated(statement: Statement, domain: Domain) -> list[Statement]:
    """Return statements with one part replaced by an unrelated one; they neither entail nor contradict this one."""
    subject, obj = statement.subject, statement.object
    statements = [replace(statement, subject=term) for term in _other_terms(subject, obj, domain)]
    if obj is None or statement.verb is None:
        known = statement.adjectives[0]
        kind = domain.noun_by_lemma[subject.noun].kind
        words = [word for word in domain.adjectives_by_kind[kind] if known not in (word.form, word.antonym)]
        return statements + [replace(statement, adjectives=(word.form,)) for word in words]
    statements += [replace(statement, object=term) for term in _other_terms(obj, subject, domain)]
    verb = domain.verb_by_lemma[statement.verb]
    statements += [replace(statement, verb=other.lemma) for other in _unrelated_verbs(verb, domain)]
    if statement.place is not None:
        places = (place.lemma for place in domain.nouns["place"])
        statements += [replace(statement, place=place) for place in places if place != statement.place]
    if subject.det == obj.det == "name":
        statements += [replace(statement, subject=obj, object=subject)] * 4  # four times as likely as each other edit
    return statements


def _related(a: Noun, b: Noun, domain: Domain) -> bool:
    """Return whether the nouns are equal or one is a hypernym of the other."""
    return a.lemma in _with_hypernyms(b, domain) or b.lemma in _with_hypernyms(a, domain)


def _with_hypernyms(noun: Noun, domain: Domain) -> list[str]:
    lemmas = [noun.lemma]
    while (hypernym := domain.noun_by_lemma[lemmas[-1]].hypernym) is not None:
        lemmas.append(hypernym)
    return lemmas


def _subject_edits(term: Term, domain: Domain, stronger: bool) -> Iterator[Term]:
    if term.det in _UPWARD_IN_NOUN:
        yield from _term_edits(term, domain, _UPWARD_IN_NOUN[term.det] == stronger)
    for weak, strong in _STRONGER.items():
        if stronger and term.det == weak:
            yield from (replace(term, det=det) for det in strong)
        elif not stronger and term.det in strong:
            yield replace(term, det=weak)


def _term_edits(term: Term, domain: Domain, specialise: bool) -> Iterator[Term]:
    noun = domain.noun_by_lemma[term.noun]
    if specialise:
        yield from (replace(term, noun=each.lemma) for each in domain.nouns[noun.kind] if each.hypernym == noun.lemma)
        if term.adjective is None:
            yield from (replace(term, adjective=word.form) for word in domain.adjectives_by_kind[noun.kind][:4])
    else:
        if noun.hypernym is not None:
            yield replace(term, noun=noun.hypernym)
        if term.adjective is not None:
            yield replace(term, adjective=None)


def _verb_edits(lemma: str, domain: Domain, specialise: bool) -> list[str]:
    if specialise:
        return [verb.lemma for verb in domain.verbs if verb.hypernym == lemma]
    hypernym = domain.verb_by_lemma[lemma].hypernym
    return [] if hypernym is None else [hypernym]


def _adjective_edits(statement: Statement, domain: Domain, *, up: bool, stronger: bool) -> Iterator[Statement]:
    """Edit a statement with a copula: add or remove an adjective, or replace a negation by the antonym."""
    known = statement.adjectives[0]
    kind = domain.noun_by_lemma[statement.subject.noun].kind
    words = domain.adjectives_by_kind[kind]
    (antonym,) = [word.antonym for word in words if word.form == known]
    if stronger and up and len(statement.adjectives) == 1:
        free = [word.form for word in words if word.form != known and word.antonym != known]
        yield from (replace(statement, adjectives=(known, form)) for form in free)
    elif not stronger and up and len(statement.adjectives) == 2:
        yield from (replace(statement, adjectives=(form,)) for form in statement.adjectives)
    if antonym is None or len(statement.adjectives) > 1:
        return
    subject = statement.subject
    if subject.det == "the" and statement.negated == stronger:
        yield replace(statement, adjectives=(antonym,), negated=not stronger)
    swapped = {"no": "every", "not every": "a"} if stronger else {"every": "no", "a": "not every"}
    det = swapped.get(subject.det)
    if det is not None:
        yield replace(statement, adjectives=(antonym,), subject=replace(subject, det=det))


def _is_redundant(statement: Statement, domain: Domain) -> bool:
    """Return whether the subject has the predicate's adjective or its antonym: ``an old gate was old``."""
    adjective = statement.subject.adjective
    antonyms = {(word.form, word.antonym) for word in domain.adjectives}
    return any(adjective == form or (form, adjective) in antonyms for form in statement.adjectives)


def _other_terms(term: Term, other_term: Term | None, domain: Domain) -> list[Term]:
    """Return terms of the same form for other individuals, unrelated to `term` and `other_term`."""
    if term.det == "name":
        taken = {term.noun, other_term.noun if other_term else ""}
        names = domain.other_words["women"] + domain.other_words["men"]
        return [replace(term, noun=name) for name in names if name not in taken]
    noun = domain.noun_by_lemma[term.noun]
    used = [noun] + ([domain.noun_by_lemma[other_term.noun]] if other_term and other_term.det != "name" else [])
    return [
        replace(term, noun=other.lemma)
        for other in domain.nouns[noun.kind]
        if not any(_related(other, each, domain) for each in used)
    ]


def _unrelated_verbs(verb: Verb, domain: Domain) -> list[Verb]:
    return [
        other
        for other in domain.verbs
        if other.group == verb.group
        and (other.subjects, other.objects) == (verb.subjects, verb.objects)
        and other.lemma != verb.hypernym
        and verb.lemma not in (other.lemma, other.hypernym)
    ]
