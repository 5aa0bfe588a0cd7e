"""Readers of the file formats that others write: texts, records, CoNLL-U, tagged files and hub data sets."""

from .documents import Corpus, Document
from .texts import read_texts

__all__ = ["Corpus", "Document", "read_texts"]
