"""Edits of a statement whose effect on its truth is known: stronger, weaker, denied, or about something else.

Natural logic: in an upward position a word is made stronger by a hyponym or a modifier, in a downward one (under
negation, after ``no`` and ``every``) by a hypernym or by leaving the modifier out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .lexicon import Domain, Noun, Verb
from .statements import Statement, Term

__all__ = ["denied", "elsewhere", "neighbours", "related"]

_RESTRICTOR_UP = {"a": True, "not every": True, "every": False, "no": False}
_SCOPE_UP = {"name": True, "the": True, "a": True, "every": True, "most": True, "no": False, "not every": False}
_STRONGER = {"a": ("most", "every"), "most": ("every",), "not every": ("no",)}
_OPPOSITE = {"a": "no", "no": "a", "every": "not every", "not every": "every", "most": "no"}


def neighbours(statement: Statement, domain: Domain, *, stronger: bool) -> list[Statement]:
    """Statements one edit away that entail this one, or with ``stronger=False`` strictly follow from it."""
    subject, thing = statement.subject, statement.object
    up = _SCOPE_UP[subject.det] != statement.negated
    found = [replace(statement, subject=term) for term in _subjects(subject, domain, stronger)]
    if thing is not None and statement.verb is not None:
        if thing.det == "a":
            found += [replace(statement, object=term) for term in _terms(thing, domain, up == stronger)]
        found += [replace(statement, verb=verb) for verb in _verbs(statement.verb, domain, up == stronger)]
        if statement.place is None:
            places = domain.nouns["place"] if up == stronger else ()
            found += [replace(statement, place=place.lemma) for place in places[:4]]
        elif up != stronger:
            found.append(replace(statement, place=None))
        both = up and stronger and subject.det == "name" and subject.also is None
        for name in domain.others["women"] if both else ():
            if name not in (subject.noun, thing.noun):
                found.append(replace(statement, subject=replace(subject, also=name)))
    else:
        found += _described(statement, domain, up=up, stronger=stronger)
        found = [each for each in found if not _repeats(each, domain)]
    return found


def denied(statement: Statement) -> Statement:
    """The statement that contradicts this one."""
    subject = statement.subject
    if subject.det in ("name", "the"):
        return replace(statement, negated=not statement.negated)
    return replace(statement, subject=replace(subject, det=_OPPOSITE[subject.det]))


def elsewhere(statement: Statement, domain: Domain) -> list[Statement]:
    """Statements with one part changed for an unrelated one: neither follows from the other, nor excludes it."""
    subject, thing = statement.subject, statement.object
    found = [replace(statement, subject=term) for term in _others(subject, thing, domain)]
    if thing is None or statement.verb is None:
        known = statement.adjectives[0]
        kind = domain.noun[subject.noun].kind
        words = [word for word in domain.describing[kind] if known not in (word.form, word.antonym)]
        return found + [replace(statement, adjectives=(word.form,)) for word in words]
    found += [replace(statement, object=term) for term in _others(thing, subject, domain)]
    verb = domain.verb[statement.verb]
    found += [replace(statement, verb=other.lemma) for other in _unrelated_verbs(verb, domain)]
    if statement.place is not None:
        places = (place.lemma for place in domain.nouns["place"])
        found += [replace(statement, place=place) for place in places if place != statement.place]
    if subject.det == thing.det == "name":
        found += [replace(statement, subject=thing, object=subject)] * 4  # four times as likely as any other
    return found


def related(a: Noun, b: Noun, domain: Domain) -> bool:
    """Whether one is the other, or a hypernym of it."""
    return a.lemma in _line(b, domain) or b.lemma in _line(a, domain)


def _line(noun: Noun, domain: Domain) -> list[str]:
    line = [noun.lemma]
    while (hypernym := domain.noun[line[-1]].hypernym) is not None:
        line.append(hypernym)
    return line


def _subjects(term: Term, domain: Domain, stronger: bool) -> Iterator[Term]:
    if term.det in _RESTRICTOR_UP:
        yield from _terms(term, domain, _RESTRICTOR_UP[term.det] == stronger)
    for weak, strong in _STRONGER.items():
        if stronger and term.det == weak:
            yield from (replace(term, det=det) for det in strong)
        elif not stronger and term.det in strong:
            yield replace(term, det=weak)


def _terms(term: Term, domain: Domain, specialise: bool) -> Iterator[Term]:
    noun = domain.noun[term.noun]
    if specialise:
        yield from (replace(term, noun=each.lemma) for each in domain.nouns[noun.kind] if each.hypernym == noun.lemma)
        if term.adjective is None:
            yield from (replace(term, adjective=word.form) for word in domain.describing[noun.kind][:4])
    else:
        if noun.hypernym is not None:
            yield replace(term, noun=noun.hypernym)
        if term.adjective is not None:
            yield replace(term, adjective=None)


def _verbs(lemma: str, domain: Domain, specialise: bool) -> list[str]:
    if specialise:
        return [verb.lemma for verb in domain.verbs if verb.hypernym == lemma]
    hypernym = domain.verb[lemma].hypernym
    return [] if hypernym is None else [hypernym]


def _described(statement: Statement, domain: Domain, *, up: bool, stronger: bool) -> Iterator[Statement]:
    """Edits of what is said with a copula: a second adjective, or the antonym for a denial."""
    known = statement.adjectives[0]
    kind = domain.noun[statement.subject.noun].kind
    words = domain.describing[kind]
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
    det = (
        {"no": "every", "not every": "a"}.get(subject.det)
        if stronger
        else {"every": "no", "a": "not every"}.get(subject.det)
    )
    if det is not None:
        yield replace(statement, adjectives=(antonym,), subject=replace(subject, det=det))


def _repeats(statement: Statement, domain: Domain) -> bool:
    """Whether the subject is described by what is said of it, or by the opposite: *an old gate was old*."""
    said = statement.subject.adjective
    pairs = {(word.form, word.antonym) for word in domain.adjectives}
    return any(said == form or (form, said) in pairs for form in statement.adjectives)


def _others(term: Term, besides: Term | None, domain: Domain) -> list[Term]:
    """Terms of the same form for somebody or something else."""
    if term.det == "name":
        taken = {term.noun, besides.noun if besides else ""}
        names = domain.others["women"] + domain.others["men"]
        return [replace(term, noun=name) for name in names if name not in taken]
    noun = domain.noun[term.noun]
    used = [noun] + ([domain.noun[besides.noun]] if besides and besides.det != "name" else [])
    return [
        replace(term, noun=other.lemma)
        for other in domain.nouns[noun.kind]
        if not any(related(other, each, domain) for each in used)
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
