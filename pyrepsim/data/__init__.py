"""Readers of published formats and data sets: texts, records, CoNLL-U, columns, trees, SQuAD, the hub."""

from .documents import Corpus, Document
from .texts import read_texts

__all__ = ["Corpus", "Document", "read_texts"]
