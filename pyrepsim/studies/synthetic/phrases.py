"""Phrases of English built from what to say: nothing here is random."""

from __future__ import annotations

from collections.abc import Sequence

from .lexicon import Noun, Verb
from .tree import Leaf, Phrase

__all__ = [
    "adverb_phrase",
    "determiner",
    "first_auxiliary",
    "name_phrase",
    "noun_phrase",
    "possessive",
    "prepositional",
    "pronoun",
    "sentence_of",
    "verb_phrase",
    "word",
]

Part = tuple[str, Leaf | Phrase]

_SINGULAR, _PLURAL = "Number=Sing", "Number=Plur"
_PRON = "PRON", "PRP"
# form -> lemma, UPOS, XPOS, features
_CLOSED = {
    "the": ("the", "DET", "DT", "Definite=Def|PronType=Art"),
    "a": ("a", "DET", "DT", "Definite=Ind|PronType=Art"),
    "this": ("this", "DET", "DT", "Number=Sing|PronType=Dem"),
    "these": ("this", "DET", "DT", "Number=Plur|PronType=Dem"),
    "every": ("every", "DET", "DT", "PronType=Tot"),
    "no": ("no", "DET", "DT", "PronType=Neg"),
    "any": ("any", "DET", "DT", "PronType=Ind"),
    "some": ("some", "DET", "DT", "PronType=Ind"),
    "most": ("most", "ADJ", "JJS", "Degree=Sup"),
    "many": ("many", "ADJ", "JJ", "Degree=Pos"),
    "two": ("two", "NUM", "CD", "NumForm=Word|NumType=Card"),
    "three": ("three", "NUM", "CD", "NumForm=Word|NumType=Card"),
    "four": ("four", "NUM", "CD", "NumForm=Word|NumType=Card"),
    "seven": ("seven", "NUM", "CD", "NumForm=Word|NumType=Card"),
    "not": ("not", "PART", "RB", "Polarity=Neg"),
    "to": ("to", "PART", "TO", "_"),
    "'s": ("'s", "PART", "POS", "_"),
    "and": ("and", "CCONJ", "CC", "_"),
    "but": ("but", "CCONJ", "CC", "_"),
    "that": ("that", "SCONJ", "IN", "_"),
    "because": ("because", "SCONJ", "IN", "_"),
    "before": ("before", "SCONJ", "IN", "_"),
    "after": ("after", "SCONJ", "IN", "_"),
    "while": ("while", "SCONJ", "IN", "_"),
    ".": (".", "PUNCT", ".", "_"),
    "?": ("?", "PUNCT", ".", "_"),
    ",": (",", "PUNCT", ",", "_"),
    "there": ("there", "PRON", "EX", "_"),
    "who": ("who", "PRON", "WP", "PronType=Rel"),
    "which": ("which", "PRON", "WDT", "PronType=Rel"),
    "what": ("what", "PRON", "WP", "PronType=Int"),
    "where": ("where", "ADV", "WRB", "PronType=Int"),
    "when": ("when", "ADV", "WRB", "PronType=Int"),
    "would": ("would", "AUX", "MD", "VerbForm=Fin"),
    "could": ("could", "AUX", "MD", "VerbForm=Fin"),
    "may": ("may", "AUX", "MD", "VerbForm=Fin"),
    "must": ("must", "AUX", "MD", "VerbForm=Fin"),
}
_AUXILIARY = {
    ("be", "past", False): "was",
    ("be", "past", True): "were",
    ("be", "present", False): "is",
    ("be", "present", True): "are",
    ("have", "present", False): "has",
    ("have", "present", True): "have",
    ("do", "past", False): "did",
    ("do", "past", True): "did",
    ("do", "present", False): "does",
    ("do", "present", True): "do",
}
_PRONOUNS = {  # subject form -> object form, possessive form, gender and number
    "he": ("him", "his", "Gender=Masc|Number=Sing"),
    "she": ("her", "her", "Gender=Fem|Number=Sing"),
    "it": ("it", "its", "Gender=Neut|Number=Sing"),
    "they": ("them", "their", "Number=Plur"),
}


def word(form: str) -> Leaf:
    """A word of the closed classes."""
    return Leaf(form, *_CLOSED[form])


def determiner(det: str) -> Part:
    if det == "not every":
        return "det", Phrase("", [("advmod", word("not")), ("", word("every"))])
    leaf = word(det)
    return {"DET": "det", "ADJ": "amod", "NUM": "nummod"}[leaf.upos], leaf


def noun_phrase(
    noun: Noun, before: Sequence[Part] = (), *, plural: bool = False, adjectives: Sequence[str] = ()
) -> Phrase:
    """``[before] [adjectives] noun``."""
    described: list[Part] = [("amod", Leaf(form, form, "ADJ", "JJ", "Degree=Pos")) for form in adjectives]
    head = Leaf(
        noun.plural if plural else noun.lemma, noun.lemma, "NOUN", *(("NNS", _PLURAL) if plural else ("NN", _SINGULAR))
    )
    return Phrase("NP", [*before, *described, ("", head)])


def name_phrase(name: str) -> Phrase:
    """A name of one word or more."""
    first, *rest = (Leaf(part, part, "PROPN", "NNP", _SINGULAR) for part in name.split())
    return Phrase("NP", [("", first), *(("flat", leaf) for leaf in rest)])


def pronoun(subject: str, case: str = "subject") -> Phrase:
    """A personal pronoun by its subject form, in the case ``"subject"``, ``"object"`` or ``"possessive"``."""
    objective, possessive_form, features = _PRONOUNS[subject]
    if case == "possessive":
        return Phrase("NP", [("", Leaf(possessive_form, subject, "PRON", "PRP$", f"{features}|Poss=Yes"))])
    form = objective if case == "object" else subject
    return Phrase("NP", [("", Leaf(form, subject, "PRON", "PRP", f"{features}|PronType=Prs"))])


def possessive(owner: Phrase) -> Phrase:
    """``Anna's``; the name in it is then no constituent of its own."""
    owner.label = ""
    return Phrase("NP", [("", owner), ("case", word("'s"))])


def prepositional(preposition: str, np: Phrase) -> Phrase:
    return Phrase("PP", [("case", Leaf(preposition, preposition, "ADP", "IN")), ("", np)])


def adverb_phrase(form: str) -> Phrase:
    return Phrase("ADVP", [("", Leaf(form, form, "ADV", "RB"))])


def verb_phrase(
    verb: Verb | None,
    complements: Sequence[Part] = (),
    *,
    tense: str = "past",
    plural: bool = False,
    negated: bool = False,
    passive: bool = False,
    infinitive: bool = False,
    predicate: Phrase | None = None,
    auxiliary_outside: bool = False,
) -> Phrase:
    """A verb group with its complements, the lexical verb its head.

    Parameters
    ----------
    verb, predicate
        A verb; or None and what is said with a copula (an ADJP, NP or PP).
    tense
        ``"past"``, ``"present"``, ``"perfect"`` or a modal verb.
    infinitive
        ``to`` and the bare verb; the tense is not used.
    auxiliary_outside
        Leave out the first auxiliary, for a question that puts it before the subject (see `first_auxiliary`).
    """
    before: list[Part] = []
    finite = tense in ("past", "present")
    bare = infinitive or tense in ("would", "could", "may", "must")
    if infinitive:
        before.append(("mark", word("to")))
    elif bare:
        before.append(("aux", word(tense)))
    elif tense == "perfect":
        before.append(("aux", _auxiliary("have", "present", plural)))
    elif verb and not passive and (negated or auxiliary_outside):
        before.append(("aux", _auxiliary("do", tense, plural)))
    if passive or verb is None:
        relation = "aux:pass" if passive else "cop"
        if finite and not infinitive:
            before.append((relation, _auxiliary("be", tense, plural)))
        elif bare:
            before.append((relation, Leaf("be", "be", "AUX", "VB", "VerbForm=Inf")))
        else:
            before.append((relation, Leaf("been", "be", "AUX", "VBN", "Tense=Past|VerbForm=Part")))
    if negated:
        before.insert(0 if infinitive else 1, ("advmod", word("not")))
    if auxiliary_outside:
        before = before[1:]
    if verb is None:
        if predicate is None:
            raise TypeError("a verb phrase needs a verb or a predicate")
        core: Leaf | Phrase = predicate
    else:
        core = _main_verb(verb, tense, plural, passive, bare or (finite and (negated or auxiliary_outside)))
    phrase = Phrase("VP", [("", core), *complements])
    after: list[Part] = []  # a negation stands after the first auxiliary
    for relation, leaf in reversed(before):
        if relation == "advmod":
            after = [(relation, leaf)]
        else:
            inner = phrase.parts if relation == "cop" else [("", phrase)]
            phrase, after = Phrase("VP", [(relation, leaf), *after, *inner]), []
    return Phrase("VP", [*after, *phrase.parts])


def first_auxiliary(tense: str, *, plural: bool, passive: bool) -> Part:
    """What a question with an active or passive verb puts before its subject."""
    if passive:
        return "aux:pass", _auxiliary("be", tense, plural)
    return "aux", _auxiliary("do", tense, plural)


def sentence_of(subject: Phrase, vp: Phrase, *, relation: str = "nsubj") -> Phrase:
    return Phrase("S", [(relation, subject), ("", vp)])


def _auxiliary(lemma: str, tense: str, plural: bool) -> Leaf:
    form = _AUXILIARY[lemma, tense, plural]
    if tense == "past":
        return Leaf(form, lemma, "AUX", "VBD", "Mood=Ind|Tense=Past|VerbForm=Fin")
    xpos, number = ("VBP", "Plur") if plural else ("VBZ", "Sing")
    return Leaf(form, lemma, "AUX", xpos, f"Mood=Ind|Number={number}|Person=3|Tense=Pres|VerbForm=Fin")


def _main_verb(verb: Verb, tense: str, plural: bool, passive: bool, bare: bool) -> Leaf:
    if passive or tense == "perfect":
        voice = "|Voice=Pass" if passive else ""
        return Leaf(verb.participle, verb.lemma, "VERB", "VBN", f"Tense=Past|VerbForm=Part{voice}")
    if bare:
        return Leaf(verb.lemma, verb.lemma, "VERB", "VB", "VerbForm=Inf")
    if tense == "past":
        return Leaf(verb.past, verb.lemma, "VERB", "VBD", "Mood=Ind|Tense=Past|VerbForm=Fin")
    xpos, number = ("VBP", "Plur") if plural else ("VBZ", "Sing")
    form = verb.lemma if plural else verb.third
    return Leaf(form, verb.lemma, "VERB", xpos, f"Mood=Ind|Number={number}|Person=3|Tense=Pres|VerbForm=Fin")
