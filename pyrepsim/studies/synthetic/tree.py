"""Constituents that name their head: one tree gives the words, the dependencies and the brackets."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Laid", "Leaf", "Phrase", "bracketed", "glued", "lay_out"]

_EXTRA_VOWEL = ("hour", "honest")
_NO_VOWEL = ("uni", "use", "one", "eu")
_GLUED = (".", ",", "?", "'s")


@dataclass(eq=False, slots=True)
class Leaf:
    """A word. Leaves and phrases are compared by identity: the same word may stand in a sentence twice."""

    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str = "_"


@dataclass(eq=False, slots=True)
class Phrase:
    """A constituent: its parts, each with its relation to the head, which is the part without one.

    A phrase without label is a group that is no constituent, such as ``and the goat``.
    """

    label: str
    parts: list[tuple[str, Leaf | Phrase]]

    @property
    def head(self) -> Leaf:
        (head,) = [part for relation, part in self.parts if not relation]
        return head if isinstance(head, Leaf) else head.head


@dataclass(slots=True)
class Laid:
    """A tree in a row.

    Attributes
    ----------
    leaves, forms
        The words, and their spelling: ``an`` before a vowel, a capital at the start.
    heads, relations
        1-based head of each word, 0 for the root, and the relation to it.
    spans
        Half-open span of words of each leaf and phrase.
    constituents
        (start, end, label) of the phrases with a label, outer ones first.
    """

    leaves: list[Leaf] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    spans: dict[Leaf | Phrase, tuple[int, int]] = field(default_factory=dict)
    constituents: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(form if glued(form) or not i else " " + form for i, form in enumerate(self.forms))

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """First character of each word in the text, and the one after its last."""
        found: list[tuple[int, int]] = []
        end = -1
        for form in self.forms:
            start = end if glued(form) else end + 1
            end = start + len(form)
            found.append((start, end))
        return found


def glued(form: str) -> bool:
    """Whether no space stands before this form."""
    return form in _GLUED


def lay_out(root: Phrase) -> Laid:
    """The words of a tree in order, with heads, relations and spans; projective and with one root by construction."""
    laid = Laid()
    top = _lay(root, laid)
    laid.relations[top] = "root"
    laid.forms = [leaf.form for leaf in laid.leaves]
    for i, leaf in enumerate(laid.leaves[:-1]):
        if leaf.form == "a" and _starts_with_vowel(laid.forms[i + 1]):
            laid.forms[i] = "an"
    laid.forms[0] = laid.forms[0][0].upper() + laid.forms[0][1:]
    return laid


def _lay(node: Leaf | Phrase, laid: Laid) -> int:
    """Append a node, and return the index of its head word."""
    start = len(laid.leaves)
    if isinstance(node, Leaf):
        laid.leaves.append(node)
        laid.heads.append(0)
        laid.relations.append("")
        laid.spans[node] = (start, start + 1)
        return start
    place = len(laid.constituents)
    heads = [_lay(part, laid) for _, part in node.parts]
    (top,) = [head for head, (relation, _) in zip(heads, node.parts, strict=True) if not relation]
    for head, (relation, _) in zip(heads, node.parts, strict=True):
        if relation:
            laid.heads[head] = top + 1
            laid.relations[head] = relation
    end = len(laid.leaves)
    laid.spans[node] = (start, end)
    if node.label:
        laid.constituents.insert(place, (start, end, node.label))
    return top


def _starts_with_vowel(word: str) -> bool:
    word = word.lower()
    return (word[0] in "aeiou" and not word.startswith(_NO_VOWEL)) or word.startswith(_EXTRA_VOWEL)


def bracketed(laid: Laid) -> str:
    """Penn brackets: ``(ROOT (S (NP (NNP Anna)) (VP (VBD slept)) (. .)))``."""
    opening: dict[int, list[str]] = {}
    closing = [0] * (len(laid.forms) + 1)
    for start, end, label in laid.constituents:
        opening.setdefault(start, []).append(f"({label} ")
        closing[end] += 1
    written = []
    for i, (leaf, form) in enumerate(zip(laid.leaves, laid.forms, strict=True)):
        opened = "".join(opening.get(i, ()))
        written.append(f"{opened}({leaf.xpos} {form}){')' * closing[i + 1]}")
    return f"(ROOT {' '.join(written)})"
