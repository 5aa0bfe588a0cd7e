"""Who each row is: document, position, token and their kin, as columns next to the activations."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import xxhash

from ..core.errors import DTypeError, OptionError, ShapeError
from .layout import check_choice

COLUMNS: dict[str, np.dtype] = {
    "doc_id": np.dtype("<i8"),
    "sent_id": np.dtype("<i4"),
    "position": np.dtype("<i4"),
    "token_id": np.dtype("<i4"),
    "word_id": np.dtype("<i4"),
    "char_start": np.dtype("<i4"),
    "char_end": np.dtype("<i4"),
    "window_id": np.dtype("<i4"),
    "flags": np.dtype("u1"),
}
"""Name and type of each column, in file order."""

IDENTITY = ("doc_id", "position", "token_id")
"""The columns that say which token a row is: two stores are comparable if these agree, row by row."""

ROW_BYTES = sum(dtype.itemsize for dtype in COLUMNS.values())
TOKENS = ("content", "all", "special", "cls")
_ABSENT = {"window_id": 0, "flags": 0}


class TokenFlag(enum.IntFlag):
    """Bits of the column ``flags``."""

    SPECIAL = 1
    """Put there by the tokenizer ([CLS], [SEP], <s>, ...), not by the text."""
    FIRST_SUBWORD = 2
    LAST_SUBWORD = 4
    UNKNOWN = 8
    """The tokenizer's unknown token."""
    TRUNCATED_CONTEXT = 16
    """The model did not see the whole document when it made this row."""


def check_columns(rows: Mapping[str, np.ndarray], n_rows: int, where: str) -> dict[str, np.ndarray]:
    """All columns in file order and type; those not given hold -1 (``window_id`` and ``flags``: 0).

    Raises OptionError for unknown or missing columns, ShapeError for other lengths than ``n_rows``,
    DTypeError for what is no integer or does not fit the column's type.
    """
    unknown = [name for name in rows if name not in COLUMNS]
    missing = [name for name in IDENTITY if name not in rows]
    if unknown or missing:
        raise OptionError(
            f"The row columns of {where} must include {', '.join(IDENTITY)} and may be of "
            f"{', '.join(COLUMNS)}: got {', '.join(rows) or 'none'}."
        )
    return {
        name: _column(name, rows[name], n_rows, where)
        if name in rows
        else np.full(n_rows, _ABSENT.get(name, -1), dtype)
        for name, dtype in COLUMNS.items()
    }


def _column(name: str, values: np.ndarray, n_rows: int, where: str) -> np.ndarray:
    array, dtype = np.asarray(values), COLUMNS[name]
    if array.shape != (n_rows,):
        raise ShapeError(f"The column {name} of {where} must have shape ({n_rows},): got {array.shape}.")
    if array.dtype.kind not in "iub":
        raise DTypeError(f"The column {name} of {where} must hold integers: got {array.dtype}.")
    limits = np.iinfo(dtype)
    if n_rows and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise DTypeError(
            f"The column {name} of {where} must fit in {dtype.name}: got values from {array.min()} to {array.max()}."
        )
    return np.ascontiguousarray(array, dtype=dtype)


def word_hashes(words: Iterable[str]) -> np.ndarray:
    """Return the column ``token_id`` of a store of words: the low 31 bits of xxh32 over each word in UTF-8, int32.

    It is the same for every tokenizer, so stores of words match across tokenizers.
    """
    return np.fromiter((xxhash.xxh32_intdigest(word.encode()) & 0x7FFFFFFF for word in words), np.dtype("<i4"))


class TokenColumns(Mapping[str, np.ndarray]):
    """The columns of a store, each read when first asked for: ``rows["doc_id"]`` or ``rows.doc_id``, shape
    (n_rows,).

    Arrays are read-only and kept; 37 bytes a row if all are used.
    """

    def __init__(self, load: Callable[[str], np.ndarray], n_rows: int) -> None:
        self._load, self._n_rows = load, n_rows
        self._columns: dict[str, np.ndarray] = {}
        self._masks: dict[str, np.ndarray] = {}

    @property
    def n_rows(self) -> int:
        return self._n_rows

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in COLUMNS:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = _frozen(self._load(name))
        return self._columns[name]

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in COLUMNS:
            raise AttributeError(f"a row table has the columns {', '.join(COLUMNS)}; there is no {name!r}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)

    def mask(self, tokens: str = "content") -> np.ndarray:
        """Boolean array of shape (n_rows,), read-only and the same object each time: the rows that ``tokens``
        names.

        ``"content"``: not special; ``"special"``: what the tokenizer added; ``"cls"``: special rows at
        position 0;
        ``"all"``.
        """
        check_choice("tokens", tokens, TOKENS)
        if tokens not in self._masks:
            self._masks[tokens] = _frozen(token_mask(self, tokens, self._n_rows))
        return self._masks[tokens]

    def has(self, flag: TokenFlag) -> np.ndarray:
        """Boolean array of shape (n_rows,): the rows whose flags include all bits of ``flag``."""
        return (self["flags"] & int(flag)) == int(flag)

    def identity(self, row: int) -> str:
        """Row ``row`` in words, for messages."""
        document, position, token = (int(self[name][row]) for name in IDENTITY)
        return f"document {document}, position {position}, token {token}"

    def __repr__(self) -> str:
        return f"TokenColumns({self._n_rows:,} rows: {', '.join(COLUMNS)})"


def token_mask(columns: Mapping[str, np.ndarray], tokens: str, n_rows: int) -> np.ndarray:
    """Boolean array of shape (n_rows,): the rows that ``tokens`` names, as in `TokenColumns.mask`."""
    if tokens == "all":
        return np.ones(n_rows, dtype=bool)
    special = (columns["flags"] & int(TokenFlag.SPECIAL)) != 0
    if tokens == "cls":
        return special & (columns["position"] == 0)
    return special if tokens == "special" else ~special


class RowsDigest:
    """Digest of the identity of rows, fed in pieces; it does not depend on how the rows are cut into shards.

    SHA-256 of the three SHA-256 digests (as bytes) of the columns doc_id, position and token_id,
    little-endian.
    """

    def __init__(self) -> None:
        self._columns = {name: hashlib.sha256() for name in IDENTITY}

    def update(self, columns: Mapping[str, np.ndarray]) -> None:
        for name, digest in self._columns.items():
            digest.update(np.ascontiguousarray(columns[name], dtype=COLUMNS[name]).view(np.uint8))

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(digest.digest() for digest in self._columns.values())).hexdigest()


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
