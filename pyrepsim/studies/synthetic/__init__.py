"""Sentences, inference pairs and questions made by a grammar of ours, with gold annotations, in two domains.

English-like, not English: they make tests and demonstrations self-contained, and no result on them is one on language.
The same seed gives the same bytes on every Python.
"""

from __future__ import annotations

from .entailment import Pair, generate_pairs
from .grammar import generate
from .questions import Paragraph, Question, generate_paragraphs
from .sentence import Edge, Frame, Sentence, Token
from .write import SPLITS, write_synthetic

__all__ = [
    "SPLITS",
    "Edge",
    "Frame",
    "Pair",
    "Paragraph",
    "Question",
    "Sentence",
    "Token",
    "generate",
    "generate_pairs",
    "generate_paragraphs",
    "write_synthetic",
]
