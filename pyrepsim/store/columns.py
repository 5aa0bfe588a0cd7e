"""Token columns: which document, position and token each row of a store comes from."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import xxhash

from ..core.errors import DTypeError, OptionError, ShapeError, check_choice
from ..core.memory import allocating

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
"""The columns that identify a token: two stores can be compared if these are equal, row by row."""

ROW_BYTES = sum(dtype.itemsize for dtype in COLUMNS.values())
TOKENS = ("content", "all", "special", "cls")
_DEFAULTS = {"window_id": 0, "flags": 0}


class TokenFlag(enum.IntFlag):
    """Bits of the column ``flags``.

    Examples
    --------
    >>> from pyrepsim.store import TokenFlag
    >>> TokenFlag(6)
    <TokenFlag.FIRST_SUBWORD|LAST_SUBWORD: 6>
    """

    SPECIAL = 1
    """Added by the tokenizer ([CLS], [SEP], <s>, ...); not part of the text."""
    FIRST_SUBWORD = 2
    LAST_SUBWORD = 4
    UNKNOWN = 8
    """The tokenizer's unknown token."""
    TRUNCATED_CONTEXT = 16
    """The model read only a part of the document when it computed this row."""


def check_columns(columns: Mapping[str, np.ndarray], n_rows: int, where: str) -> dict[str, np.ndarray]:
    """Return all columns in file order and type. Missing ones are filled with -1 (``window_id`` and ``flags``: 0).

    Raises
    ------
    OptionError
        For unknown columns, or if one that identifies tokens is missing.
    ShapeError
        If the length of a column is not `n_rows`.
    DTypeError
        If values are not integers or do not fit in the column's type.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in IDENTITY if name not in columns]
    if unknown or missing:
        raise OptionError(
            f"The token columns of {where} must include {', '.join(IDENTITY)} and may be any of "
            f"{', '.join(COLUMNS)}: got {', '.join(columns) or 'none'}."
        )
    return {
        name: _checked(name, columns[name], n_rows, where)
        if name in columns
        else np.full(n_rows, _DEFAULTS.get(name, -1), dtype)
        for name, dtype in COLUMNS.items()
    }


def _checked(name: str, values: np.ndarray, n_rows: int, where: str) -> np.ndarray:
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

    It is the same for every tokenizer, so stores of words can be compared across tokenizers.
    """
    return np.fromiter((xxhash.xxh32_intdigest(word.encode()) & 0x7FFFFFFF for word in words), np.dtype("<i4"))


class TokenColumns(Mapping[str, np.ndarray]):
    """The token columns of a store: ``columns["doc_id"]`` or ``columns.doc_id``, each of shape (n_rows,).

    A column is read from disk when it is first used, and then kept: 37 bytes per row if all are used. The arrays are
    read-only. Get it as ``store.columns``.

    Attributes
    ----------
    doc_id : ndarray of int64
        Document, in the order of the source.
    sent_id : ndarray of int32
        Sentence within the document, -1 if unknown.
    position : ndarray of int32
        Token (in a store of words: word) within the document.
    token_id : ndarray of int32
        Id in the tokenizer's vocabulary (in a store of words: hash of the word), -1 if there are no tokens.
    word_id : ndarray of int32
        Word within the document, -1 for none.
    char_start, char_end : ndarray of int32
        Characters of the document's text, the end exclusive; -1 if unknown.
    window_id : ndarray of int32
        Window of a long document that the row was computed in.
    flags : ndarray of uint8
        Bits of `TokenFlag`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> columns = {"doc_id": [0, 0, 1], "position": [0, 1, 0], "token_id": [7, 8, 7]}
    >>> store = rs.write_store("acts/base", {"layer.0": np.eye(3)}, columns=columns)
    >>> store.columns
    TokenColumns(3 rows: doc_id, sent_id, position, token_id, word_id, char_start, char_end, window_id, flags)
    >>> store.columns.token_id.tolist()
    [7, 8, 7]
    """

    def __init__(self, load: Callable[[str], np.ndarray], n_rows: int) -> None:
        self._load, self._n_rows = load, n_rows
        self._columns: dict[str, np.ndarray] = {}
        self._masks: dict[str, np.ndarray] = {}

    @property
    def n_rows(self) -> int:
        """Number of rows of the store."""
        return self._n_rows

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in COLUMNS:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = _read_only(self._load(name))
        return self._columns[name]

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in COLUMNS:
            raise AttributeError(f"token columns are {', '.join(COLUMNS)}; there is no {name!r}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)

    def mask(self, tokens: str = "content") -> np.ndarray:
        """Return which rows are of a kind of token.

        Parameters
        ----------
        tokens : {"content", "all", "special", "cls"}
            "content": tokens of the text. "special": tokens that the tokenizer added. "cls": special tokens at
            position 0.

        Returns
        -------
        ndarray of shape (n_rows,), bool
            Read-only; the same object each time.
        """
        check_choice("tokens", tokens, TOKENS)
        if tokens not in self._masks:
            with allocating(self._n_rows, f"A mask of {self._n_rows:,} rows", "Extract fewer texts to a store."):
                self._masks[tokens] = _read_only(token_mask(self, tokens, self._n_rows))
        return self._masks[tokens]

    def has(self, flag: TokenFlag) -> np.ndarray:
        """Return which rows have all bits of `flag`: a boolean array of shape (n_rows,)."""
        return (self["flags"] & int(flag)) == int(flag)

    def identity(self, row: int) -> str:
        """Return document, position and token of a row as text, for messages."""
        document, position, token = (int(self[name][row]) for name in IDENTITY)
        return f"document {document}, position {position}, token {token}"

    def __repr__(self) -> str:
        return f"TokenColumns({self._n_rows:,} rows: {', '.join(COLUMNS)})"


def token_mask(columns: Mapping[str, np.ndarray], tokens: str, n_rows: int) -> np.ndarray:
    """Return which rows are of a kind of token, as `TokenColumns.mask` does."""
    if tokens == "all":
        return np.ones(n_rows, dtype=bool)
    special = (columns["flags"] & int(TokenFlag.SPECIAL)) != 0
    if tokens == "cls":
        return special & (columns["position"] == 0)
    return special if tokens == "special" else ~special


class RowsDigest:
    """Digest of the rows of a store, updated piece by piece. It does not depend on how rows are divided into shards.

    It is the SHA-256 of three SHA-256 digests (as bytes): those of the columns doc_id, position and token_id,
    little-endian.
    """

    def __init__(self) -> None:
        self._columns = {name: hashlib.sha256() for name in IDENTITY}

    def update(self, columns: Mapping[str, np.ndarray]) -> None:
        for name, digest in self._columns.items():
            digest.update(np.ascontiguousarray(columns[name], dtype=COLUMNS[name]).view(np.uint8))

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(digest.digest() for digest in self._columns.values())).hexdigest()


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
