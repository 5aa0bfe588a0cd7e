"""Synthetic data with gold annotations: sentences, inference pairs and questions from one grammar in two domains.

The text resembles English. It makes tests and demonstrations self-contained; results on it are not results about
language. The same seed gives the same bytes on every Python version.
"""

from __future__ import annotations

from .annotations import Edge, Frame, Sentence, Token
from .files import SPLITS, write_synthetic
from .inference import Pair, generate_pairs
from .questions import Paragraph, Question, generate_paragraphs
from .sentences import generate_sentences

__all__ = [
    "SPLITS",
    "Edge",
    "Frame",
    "Pair",
    "Paragraph",
    "Question",
    "Sentence",
    "Token",
    "generate_pairs",
    "generate_paragraphs",
    "generate_sentences",
    "write_synthetic",
]
