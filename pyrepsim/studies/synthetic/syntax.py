"""Syntax trees whose phrases name their heads, and builders of English phrases. Nothing in this file is random.

One tree gives the words, the dependencies and the constituents of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .lexicon import Noun, Verb

__all__ = [
    "FlatTree",
    "Leaf",
    "Part",
    "Phrase",
    "adjective",
    "adverb_phrase",
    "bracketed",
    "determiner",
    "first_auxiliary",
    "flatten",
    "name_phrase",
    "no_space_before",
    "noun_phrase",
    "possessive",
    "prepositional",
    "pronoun",
    "sentence_of",
    "verb_phrase",
    "word",
]

Part = tuple[str, "Leaf | Phrase"]
"""A part of a phrase, with its relation to the head."""

_EXTRA_VOWEL = ("hour", "honest")
_NO_VOWEL = ("uni", "use", "one", "eu")
_NO_SPACE_BEFORE = (".", ",", "?", "'s")


@dataclass(eq=False, slots=True)
class Leaf:
    """A word. Leaves and phrases are compared by identity, because a sentence may contain a word twice."""

    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str = "_"


@dataclass(eq=False, slots=True)
class Phrase:
    """A constituent. Each part has a dependency relation to the head; the head has the empty relation.

    A phrase without a label groups words that are not a constituent, such as ``and the goat``.
    """

    label: str
    parts: list[Part]

    @property
    def head(self) -> Leaf:
        (head,) = [part for relation, part in self.parts if not relation]
        return head if isinstance(head, Leaf) else head.head


@dataclass(slots=True)
class FlatTree:
    """A tree flattened to its words in order.

    Attributes
    ----------
    leaves, forms
        The words, and their spelling in the sentence: ``an`` before a vowel, a capital letter at the start.
    heads, relations
        The 1-based head of each word (0 for the root), and the relation to it.
    spans
        The half-open span of words of each leaf and phrase.
    constituents
        (start, end, label) of the phrases with a label, outer phrases first.
    """

    leaves: list[Leaf] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    spans: dict[Leaf | Phrase, tuple[int, int]] = field(default_factory=dict)
    constituents: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(form if no_space_before(form) or not i else " " + form for i, form in enumerate(self.forms))

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """(start, end) of each word in the text, in characters; the end is exclusive."""
        offsets: list[tuple[int, int]] = []
        end = -1
        for form in self.forms:
            start = end if no_space_before(form) else end + 1
            end = start + len(form)
            offsets.append((start, end))
        return offsets


def no_space_before(form: str) -> bool:
    """Return whether this form is written without a space before it."""
    return form in _NO_SPACE_BEFORE


def flatten(root: Phrase) -> FlatTree:
    """Return the words of a tree in order. The dependencies are projective, with one root."""
    flat = FlatTree()
    top = _append(root, flat)
    flat.relations[top] = "root"
    flat.forms = [leaf.form for leaf in flat.leaves]
    for i, leaf in enumerate(flat.leaves[:-1]):
        if leaf.form == "a" and _starts_with_vowel(flat.forms[i + 1]):
            flat.forms[i] = "an"
    flat.forms[0] = flat.forms[0][0].upper() + flat.forms[0][1:]
    return flat


def _append(node: Leaf | Phrase, flat: FlatTree) -> int:
    """Append a node to `flat` and return the index of its head word."""
    start = len(flat.leaves)
    if isinstance(node, Leaf):
        flat.leaves.append(node)
        flat.heads.append(0)
        flat.relations.append("")
        flat.spans[node] = (start, start + 1)
        return start
    place = len(flat.constituents)
    heads = [_append(part, flat) for _, part in node.parts]
    (top,) = [head for head, (relation, _) in zip(heads, node.parts, strict=True) if not relation]
    for head, (relation, _) in zip(heads, node.parts, strict=True):
        if relation:
            flat.heads[head] = top + 1
            flat.relations[head] = relation
    end = len(flat.leaves)
    flat.spans[node] = (start, end)
    if node.label:
        flat.constituents.insert(place, (start, end, node.label))
    return top


def _starts_with_vowel(word: str) -> bool:
    word = word.lower()
    return (word[0] in "aeiou" and not word.startswith(_NO_VOWEL)) or word.startswith(_EXTRA_VOWEL)


def bracketed(flat: FlatTree) -> str:
    """Return Penn Treebank brackets: ``(ROOT (S (NP (NNP Anna)) (VP (VBD slept)) (. .)))``."""
    opening: dict[int, list[str]] = {}
    closing = [0] * (len(flat.forms) + 1)
    for start, end, label in flat.constituents:
        opening.setdefault(start, []).append(f"({label} ")
        closing[end] += 1
    words = []
    for i, (leaf, form) in enumerate(zip(flat.leaves, flat.forms, strict=True)):
        opened = "".join(opening.get(i, ()))
        words.append(f"{opened}({leaf.xpos} {form}){')' * closing[i + 1]}")
    return f"(ROOT {' '.join(words)})"


_SINGULAR, _PLURAL = "Number=Sing", "Number=Plur"
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
_PRONOUNS = {  # form -> gender and number
    "he": "Gender=Masc|Number=Sing",
    "she": "Gender=Fem|Number=Sing",
    "it": "Gender=Neut|Number=Sing",
    "they": "Number=Plur",
}


def word(form: str) -> Leaf:
    """Return a function word."""
    return Leaf(form, *_CLOSED[form])


def adjective(form: str) -> Leaf:
    """Return an adjective."""
    return Leaf(form, form, "ADJ", "JJ", "Degree=Pos")


def determiner(det: str) -> Part:
    if det == "not every":
        return "det", Phrase("", [("advmod", word("not")), ("", word("every"))])
    leaf = word(det)
    return {"DET": "det", "ADJ": "amod", "NUM": "nummod"}[leaf.upos], leaf


def noun_phrase(
    noun: Noun, before: Sequence[Part] = (), *, plural: bool = False, adjectives: Sequence[str] = ()
) -> Phrase:
    """Return the noun phrase ``[before] [adjectives] noun``."""
    described: list[Part] = [("amod", adjective(form)) for form in adjectives]
    head = Leaf(
        noun.plural if plural else noun.lemma, noun.lemma, "NOUN", *(("NNS", _PLURAL) if plural else ("NN", _SINGULAR))
    )
    return Phrase("NP", [*before, *described, ("", head)])


def name_phrase(name: str) -> Phrase:
    """Return a name of one or more words as a noun phrase."""
    first, *rest = (Leaf(part, part, "PROPN", "NNP", _SINGULAR) for part in name.split())
    return Phrase("NP", [("", first), *(("flat", leaf) for leaf in rest)])


def pronoun(form: str) -> Phrase:
    """Return a personal pronoun in its subject form."""
    return Phrase("NP", [("", Leaf(form, form, "PRON", "PRP", f"{_PRONOUNS[form]}|PronType=Prs"))])


def possessive(owner: Phrase) -> Phrase:
    """Return ``Anna's``; the name inside is no longer a constituent."""
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
    """Return auxiliaries, verb and complements as a phrase whose head is the main verb.

    Parameters
    ----------
    verb, predicate
        A verb; or None and the predicate of a copula (an ADJP, NP or PP).
    tense
        ``"past"``, ``"present"``, ``"perfect"`` or a modal verb.
    infinitive
        ``to`` and the bare verb; `tense` is ignored.
    auxiliary_outside
        Leave out the first auxiliary, for a question that has it before the subject (see `first_auxiliary`).
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
    after: list[Part] = []  # "not" follows the first auxiliary
    for relation, leaf in reversed(before):
        if relation == "advmod":
            after = [(relation, leaf)]
        else:
            inner = phrase.parts if relation == "cop" else [("", phrase)]
            phrase, after = Phrase("VP", [(relation, leaf), *after, *inner]), []
    return Phrase("VP", [*after, *phrase.parts])


def first_auxiliary(tense: str, *, plural: bool) -> Part:
    """Return the auxiliary that a question in the active voice has before its subject."""
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
