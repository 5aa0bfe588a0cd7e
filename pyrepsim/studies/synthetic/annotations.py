"""A sentence with its gold annotations, and the builder that collects them while its tree is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .lexicon import Verb
from .syntax import Leaf, Phrase, bracketed, flatten, no_space_before

__all__ = ["Edge", "Frame", "Sentence", "SentenceBuilder", "Span", "Token", "proto_role_properties"]

Span = tuple[int, int]
"""Half-open interval of word indices, counted from 0."""
Node = Leaf | Phrase


@dataclass(frozen=True, slots=True)
class Token:
    """A word with the columns of CoNLL-U; `head` is 1-based, 0 for the root."""

    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str
    head: int
    relation: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A predicate, its sense, and its arguments as (PropBank role, span)."""

    predicate: Span
    sense: str
    arguments: tuple[tuple[str, Span], ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """Two spans and the labels of the relation between them."""

    span1: Span
    span2: Span
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its gold annotations. All spans are half-open intervals of words.

    Attributes
    ----------
    domain : str
        Name of the domain.
    tokens : tuple of Token
        The words with their tags and dependencies.
    text, brackets : str
        The sentence as text, and as Penn Treebank brackets.
    constituents : tuple of (int, int, str)
        Start, end and Penn Treebank label of each constituent, outer constituents first.
    entities : tuple of (int, int, str)
        Start, end and type of names and numbers, types as in OntoNotes. They do not overlap.
    frames : tuple of Frame
        Semantic roles.
    chains : tuple of tuple of Span
        Coreference chains: the mentions of each referent in order, also if there is only one.
    relations : tuple of Edge
        Pairs of nominals (words), labels as in SemEval-2010 Task 8.
    proto_roles : tuple of Edge
        A predicate word and the head word of an argument, with the proto-role properties that hold, names as in UDS.
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
        """Return whether a space follows this word in the text."""
        return index + 1 < len(self.tokens) and not no_space_before(self.tokens[index + 1].form)


@dataclass(slots=True)
class SentenceBuilder:
    """Annotations of the nodes of a tree that is being made; `build` turns nodes into spans of words."""

    domain: str
    entities: list[tuple[Node, str]] = field(default_factory=list)
    frames: list[tuple[Leaf, list[tuple[str, Node]]]] = field(default_factory=list)
    chains: list[list[Phrase]] = field(default_factory=list)
    relations: list[tuple[Leaf, Leaf, str]] = field(default_factory=list)
    proto_roles: list[tuple[Leaf, Leaf, Sequence[str]]] = field(default_factory=list)

    def build(self, root: Phrase) -> Sentence:
        """Flatten the tree and return the sentence."""
        flat = flatten(root)
        at = flat.spans
        tokens = tuple(
            Token(form, leaf.lemma, leaf.upos, leaf.xpos, leaf.feats, head, relation)
            for leaf, form, head, relation in zip(flat.leaves, flat.forms, flat.heads, flat.relations, strict=True)
        )
        frames = (
            Frame(at[verb], f"{verb.lemma}.01", tuple((role, at[node]) for role, node in arguments))
            for verb, arguments in self.frames
        )
        return Sentence(
            domain=self.domain,
            tokens=tokens,
            text=flat.text,
            brackets=bracketed(flat),
            constituents=tuple(flat.constituents),
            entities=tuple(sorted((*at[node], kind) for node, kind in self.entities)),
            frames=tuple(sorted(frames, key=lambda frame: frame.predicate)),
            chains=tuple(sorted(tuple(sorted(at[mention] for mention in chain)) for chain in self.chains)),
            relations=tuple(sorted((_in_order(at[a], at[b], kind) for a, b, kind in self.relations), key=_spans)),
            proto_roles=tuple(
                sorted((Edge(at[a], at[b], tuple(sorted(labels))) for a, b, labels in self.proto_roles), key=_spans)
            ),
        )


def _in_order(first: Span, second: Span, kind: str) -> Edge:
    """Return a relation with the left span first; the direction in its label says which span has which role."""
    if first < second:
        return Edge(first, second, (f"{kind}(e1,e2)",))
    return Edge(second, first, (f"{kind}(e2,e1)",))


def _spans(edge: Edge) -> tuple[Span, Span]:
    return edge.span1, edge.span2


_LASTING = ("existed_before", "existed_during", "existed_after")
_AGENT = ("instigation", "volition")
_AGENTS = {
    "make": _AGENT,
    "change": _AGENT,
    "move": (*_AGENT, "change_of_location"),
    "perceive": (),
    "social": _AGENT,
    "transfer": (*_AGENT, "change_of_possession"),
    "act": _AGENT,
    "happen": ("change_of_state",),
    "say": _AGENT,
    "try": ("volition",),
}
_THEMES = {
    "make": ("change_of_state", "existed_after"),
    "change": ("change_of_state", *_LASTING),
    "move": ("change_of_location", *_LASTING),
    "perceive": _LASTING,
    "social": ("was_for_benefit", *_LASTING),
    "transfer": ("change_of_possession", "change_of_location", *_LASTING),
}
_SENTIENCE = {"person": ("awareness", "sentient"), "animal": ("sentient",)}


def proto_role_properties(verb: Verb, participant: str, kind: str) -> tuple[str, ...]:
    """Return the proto-role properties (Dowty 1991; names as in UDS) of a participant in an event of this verb.

    `participant` is "agent", "theme", "recipient" or "instrument", `kind` the kind of its noun.
    """
    sentience = _SENTIENCE.get(kind, ())
    if participant == "agent":
        return (*_AGENTS[verb.group], *_LASTING, *sentience)
    if participant == "theme":
        return (*_THEMES[verb.group], *sentience)
    if participant == "recipient":
        return ("change_of_possession", "was_for_benefit", *_LASTING, *sentience)
    return ("was_used", *_LASTING)
