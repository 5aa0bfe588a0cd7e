"""Token columns: which document, position and token each row of a store comes from."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import xxhash

from ..core.errors import DTypeError, OptionError, ShapeError
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
TOKENS = (
    "content", "all", "special", "cls", "first", "last", "first_subword", "last_subword", "unknown", "assistant"
)  # fmt: skip
"""Names of selections of rows; a slice of the content tokens of each document is written "start:stop:step"."""
Tokens = str | slice | range | np.ndarray | Callable[..., Any]
"""Which rows: see `TokenColumns.mask`."""
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
    ASSISTANT = 32
    """Written by the assistant of a chat."""


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
        Sentence within the document, or text of a pair (0, 1); -1 if unknown, and for special tokens of a pair.
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
    held : str
        The rows that were chosen when the store was extracted, "all" if it holds every token; "document" for a row a
        document.

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

    def __init__(self, load: Callable[[str], np.ndarray], n_rows: int, held: str = "all") -> None:
        self._load, self._n_rows = load, n_rows
        self.held = held
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

    def mask(self, tokens: Tokens = "content") -> np.ndarray:
        """Return which rows are of a kind of token.

        Parameters
        ----------
        tokens : str, slice, range, boolean array or callable
            - "content": tokens of the text. "all". "special": tokens that the tokenizer added. "cls": special tokens at
              position 0.
            - "first", "last": the first and the last content token of each document.
            - A slice of the content tokens of each document, such as ``slice(-3, None)``, ``range(0, 5)`` or, as text,
              ``"-3:"``, ``"0:5"``. Documents with fewer tokens give fewer rows.
            - "first_subword", "last_subword": the first and the last token of each word. "unknown": the unknown token.
              "assistant": what the assistant of a chat says, with the token that ends its turn.
            - A boolean array of shape (n_rows,), or a function that makes one of the columns.

        Returns
        -------
        ndarray of shape (n_rows,), bool
            Read-only; for a selection by name the same object each time.

        Raises
        ------
        OptionError
            If `tokens` is none of these, or the store was extracted with a choice that may not hold them.
        ShapeError, DTypeError
            If it gives no boolean array of shape (n_rows,).

        Examples
        --------
        >>> import numpy as np
        >>> import pyrepsim as rs
        >>> columns = {"doc_id": [0, 0, 0, 1], "position": [0, 1, 2, 0], "token_id": [7, 8, 9, 7]}
        >>> store = rs.write_store("acts/four", {"layer.0": np.eye(4)}, columns=columns)
        >>> store.columns.mask("last")
        array([False, False,  True,  True])
        >>> store.columns.mask("0:2")
        array([ True,  True, False,  True])
        >>> store.columns.mask(lambda columns: columns["token_id"] == 7)
        array([ True, False, False,  True])
        """
        name = tokens_name(tokens)
        _check_held(self.held, name)
        if name == self.held:  # every row was chosen by it: a slice of the rows that are left would be another
            tokens = name = "all"
        if name is None or name not in self._masks:
            with allocating(self._n_rows, f"A mask of {self._n_rows:,} rows", "Extract fewer texts to a store."):
                mask = _read_only(token_mask(self, tokens, self._n_rows))
            if name is None:
                return mask
            self._masks[name] = mask
        return self._masks[name]

    def has(self, flag: TokenFlag) -> np.ndarray:
        """Return which rows have all bits of `flag`: a boolean array of shape (n_rows,)."""
        return (self["flags"] & int(flag)) == int(flag)

    def identity(self, row: int) -> str:
        """Return document, position and token of a row as text, for messages."""
        document, position, token = (int(self[name][row]) for name in IDENTITY)
        return f"document {document}, position {position}, token {token}"

    def __repr__(self) -> str:
        return f"TokenColumns({self._n_rows:,} rows: {', '.join(COLUMNS)})"


def tokens_name(tokens: Tokens) -> str | None:
    """Return the text that stands for a selection of rows; None for an array or a function, which have none.

    Raises OptionError for what selects no rows.
    """
    if isinstance(tokens, str) and (tokens in TOKENS or _SLICE.fullmatch(tokens)):
        parts = tokens
    elif isinstance(tokens, range) and tokens.step > 0 and tokens.start >= 0 and tokens.stop >= 0:
        parts = f"{tokens.start}:{tokens.stop}:{tokens.step}"
    elif isinstance(tokens, slice):
        parts = ":".join("" if part is None else str(part) for part in (tokens.start, tokens.stop, tokens.step))
    elif isinstance(tokens, np.ndarray) or callable(tokens):
        return None
    else:
        raise _bad_selection(tokens)
    if parts in TOKENS:
        return parts
    if not _SLICE.fullmatch(parts) or _slice_of(parts).step == 0:
        raise _bad_selection(tokens)
    start_and_stop, _, step = parts.rpartition(":")
    return start_and_stop if parts.count(":") == 2 and step in ("", "1") else parts


_SLICE = re.compile(r"(-?\d{1,9})?:(-?\d{1,9})?(:\d{0,9})?")


def _bad_selection(tokens: object) -> OptionError:
    return OptionError(
        f"tokens must be one of {', '.join(map(repr, TOKENS))}, a slice of the content tokens of each document such as "
        f"'-3:' or range(5), a boolean array, or a function of the columns: got {tokens!r}."
    )


def _slice_of(text: str) -> slice:
    return slice(*(int(part) if part else None for part in text.split(":")))


def _check_held(held: str, name: str | None) -> None:
    """Refuse tokens that a store may not hold. Of its own rows "all" and "content" choose, arrays and functions too."""
    if name in (None, "all", "content", held) or held == "all" or (held, name) == ("special", "cls"):
        return
    if held == "content" and name not in ("special", "cls"):
        return
    chosen = "rows='document'" if held == "document" else f"tokens={held!r}"
    raise OptionError(
        f"tokens must be among the rows that a store holds: got tokens={name!r} for one that was extracted with "
        f"{chosen}. Leave tokens out to use all of its rows, or extract the texts with other tokens."
    )


def tokens_record(tokens: Tokens, mask: np.ndarray) -> str:
    """Return the text that a result records for a selection: its name, or else the digest of the rows it gave."""
    name = tokens_name(tokens)
    return name if name is not None else f"rows of mask {xxhash.xxh3_64_hexdigest(np.packbits(mask))}"


def token_mask(columns: Mapping[str, np.ndarray], tokens: Tokens, n_rows: int) -> np.ndarray:
    """Return which rows are selected, as `TokenColumns.mask` does. `columns` are those of whole documents."""
    name = tokens_name(tokens)
    if name is None:
        if callable(tokens):
            known = (
                columns
                if isinstance(columns, TokenColumns)
                else TokenColumns(lambda name: columns[name].view(), n_rows)
            )
            tokens = tokens(known)
        mask = np.asarray(tokens)
        if mask.shape != (n_rows,):
            raise ShapeError(f"tokens must give one value for each of the {n_rows} rows: got shape {mask.shape}.")
        if mask.dtype != bool:
            raise DTypeError(f"tokens must give a boolean array: got {mask.dtype}. Compare values: x == y.")
        return mask.copy()
    if name == "all":
        return np.ones(n_rows, dtype=bool)
    special = _has(columns, TokenFlag.SPECIAL)
    if name in _FLAGS:
        chosen = _has(columns, _FLAGS[name])
        return chosen if name == "assistant" else chosen & ~special  # a turn ends with a special token
    if name == "cls":
        return special & (columns["position"] == 0)
    if name == "special":
        return special
    if name == "content":
        return ~special
    return _sliced(columns, ~special, {"first": slice(0, 1), "last": slice(-1, None)}.get(name) or _slice_of(name))


_FLAGS = {
    "first_subword": TokenFlag.FIRST_SUBWORD,
    "last_subword": TokenFlag.LAST_SUBWORD,
    "unknown": TokenFlag.UNKNOWN,
    "assistant": TokenFlag.ASSISTANT,
}


def _has(columns: Mapping[str, np.ndarray], flag: TokenFlag) -> np.ndarray:
    return (columns["flags"] & int(flag)) != 0


def _sliced(columns: Mapping[str, np.ndarray], content: np.ndarray, part: slice) -> np.ndarray:
    """Return which rows are in a slice of the content tokens of their document, in the order of their positions."""
    rows = np.flatnonzero(content)
    rows = rows[np.lexsort((columns["position"][rows], columns["doc_id"][rows]))]
    _, first, length = np.unique(columns["doc_id"][rows], return_index=True, return_counts=True)
    place = np.arange(len(rows)) - np.repeat(first, length)
    length = np.repeat(length, length)

    def end(bound: int | None, default: np.ndarray) -> np.ndarray:
        return default if bound is None else np.clip(bound + (length if bound < 0 else 0), 0, length)

    start, stop = end(part.start, np.zeros_like(length)), end(part.stop, length)
    chosen = (place >= start) & (place < stop) & ((place - start) % (part.step or 1) == 0)
    mask = np.zeros(len(content), bool)
    mask[rows[chosen]] = True
    return mask


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
