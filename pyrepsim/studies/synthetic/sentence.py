"""A sentence with all its gold annotations, and the draft that collects them while a tree is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .tree import Leaf, Phrase, bracketed, glued, lay_out

__all__ = ["Draft", "Edge", "Frame", "Sentence", "Span", "Token"]

Span = tuple[int, int]
"""Half-open interval of words, from 0."""
Node = Leaf | Phrase


@dataclass(frozen=True, slots=True)
class Token:
    """A word as a line of CoNLL-U has it; `head` is 1-based, 0 for the root."""

    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str
    head: int
    relation: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A predicate, its sense, and its arguments: (role, span), the roles as PropBank names them."""

    predicate: Span
    sense: str
    arguments: tuple[tuple[str, Span], ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """Two spans and what holds between them: one label, or several."""

    span1: Span
    span2: Span
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and what is known of it.

    Attributes
    ----------
    constituents
        (start, end, label) of Penn constituents, outer ones first.
    entities
        (start, end, type) of names and numbers, types as in OntoNotes; they do not overlap.
    frames
        Semantic roles.
    chains
        Mentions of each person, animal or thing in order, also where there is only one.
    relations
        Pairs of nominals (words), labels as in SemEval-2010 Task 8.
    proto_roles
        (predicate word, head word of an argument) with the properties that hold, names as in UDS.
    """

    domain: str
    tokens: tuple[Token, ...]
    text: str
    brackets: str
    constituents: tuple[tuple[int, int, str], ...]
    entities: tuple[tuple[int, int, str], ...]
    frames: tuple[Frame, ...]
    chains: tuple[tuple[Span, ...], ...]
    relations: tuple[Edge, ...]
    proto_roles: tuple[Edge, ...]

    @property
    def words(self) -> list[str]:
        return [token.form for token in self.tokens]

    def space_after(self, index: int) -> bool:
        """Whether a space follows this word in the text."""
        return index + 1 < len(self.tokens) and not glued(self.tokens[index + 1].form)


@dataclass(slots=True)
class Draft:
    """What is known of the nodes of a tree that is still being built."""

    domain: str
    entities: list[tuple[Node, str]] = field(default_factory=list)
    frames: list[tuple[Leaf, list[tuple[str, Node]]]] = field(default_factory=list)
    chains: list[list[Phrase]] = field(default_factory=list)
    relations: list[tuple[Leaf, Leaf, str]] = field(default_factory=list)
    proto_roles: list[tuple[Leaf, Leaf, Sequence[str]]] = field(default_factory=list)

    def finish(self, root: Phrase) -> Sentence:
        """Lay the tree out, and say everything in spans of words."""
        laid = lay_out(root)
        at = laid.spans
        tokens = tuple(
            Token(form, leaf.lemma, leaf.upos, leaf.xpos, leaf.feats, head, relation)
            for leaf, form, head, relation in zip(laid.leaves, laid.forms, laid.heads, laid.relations, strict=True)
        )
        frames = (
            Frame(at[verb], f"{verb.lemma}.01", tuple((role, at[node]) for role, node in arguments))
            for verb, arguments in self.frames
        )
        return Sentence(
            domain=self.domain,
            tokens=tokens,
            text=laid.text,
            brackets=bracketed(laid),
            constituents=tuple(laid.constituents),
            entities=tuple(sorted((*at[node], kind) for node, kind in self.entities)),
            frames=tuple(sorted(frames, key=lambda frame: frame.predicate)),
            chains=tuple(sorted(tuple(sorted(at[mention] for mention in chain)) for chain in self.chains)),
            relations=tuple(sorted((_in_order(at[a], at[b], kind) for a, b, kind in self.relations), key=_spans)),
            proto_roles=tuple(
                sorted((Edge(at[a], at[b], tuple(sorted(what))) for a, b, what in self.proto_roles), key=_spans)
            ),
        )


def _in_order(first: Span, second: Span, kind: str) -> Edge:
    """A relation written from left to right: its direction says which of the two nominals plays which part."""
    if first < second:
        return Edge(first, second, (f"{kind}(e1,e2)",))
    return Edge(second, first, (f"{kind}(e2,e1)",))


def _spans(edge: Edge) -> tuple[Span, Span]:
    return edge.span1, edge.span2
