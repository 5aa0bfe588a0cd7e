"""Tokens of a corpus as flat arrays, each aligned with its characters and its word.

Tokens are aligned with words by character offsets. Words that the source gives are spans of the joined text; otherwise
words are separated by whitespace. So words are the same for every tokenizer, and byte-level BPE, which needs the spaces
it was trained on, tokenises text instead of a list of words.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from ..core.errors import ModelError, TextError
from ..data.chats import assistant_tokens
from ..data.documents import Corpus, Document
from ..data.tokenizing import encode, special_ids
from .pairs import check_pairs, cut_pairs, warn_of_joined

log = logging.getLogger("pyrepsim.extraction")

_WORD = re.compile(r"\S+")
_BATCH = 512  # documents per call of the tokenizer


@dataclass(frozen=True, eq=False)
class TokenTable:
    """All tokens of a corpus, special tokens included, document after document.

    `ptr` and `word_ptr` (n_documents + 1 entries) are the boundaries of documents in the token and word arrays. `word`
    is the index of a token's word in its document, or -1 for special tokens and tokens of only whitespace. `prefix` and
    `suffix` are the numbers of special tokens at the start and end of every document; 0 for chats and pairs, whose
    templates put them anywhere. `assistant` tells which tokens the assistant of a chat wrote. Of pairs, `segment` is 0
    for tokens of the first text, 1 for the second, -1 for special tokens; `types` are the token types, if the tokenizer
    makes any; `cut` tells which pairs were cut.
    """

    ptr: np.ndarray
    ids: np.ndarray
    word: np.ndarray
    char_start: np.ndarray
    char_end: np.ndarray
    special: np.ndarray
    word_ptr: np.ndarray
    word_start: np.ndarray
    word_end: np.ndarray
    prefix: int
    suffix: int
    words_without_tokens: np.ndarray
    unknown_id: int
    digest: str
    assistant: np.ndarray
    segment: np.ndarray | None
    types: np.ndarray | None
    cut: np.ndarray

    @property
    def n_tokens(self) -> int:
        return int(self.ptr[-1])

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ptr)


def tokenise(corpus: Corpus, tokenizer: Any, *, split: bool = True, longest: int | None = None) -> TokenTable:
    """Tokenise every document whole; pairs are cut to `longest` tokens, as "longest_first" of transformers does.

    With `split`, text that spells a special token is split like any other text, and a warning is logged. The text that
    a template made of a chat has special tokens.

    Raises
    ------
    TextError
        If the tokenizer's offsets do not fit the text, or a token spans two given words; names the first such document.
        If some documents are pairs and others are not.
    OptionError
        If `longest` leaves no room for a pair.
    ModelError
        If the tokenizer adds special tokens inside a text, or not the same number to every text.
    """
    check_pairs(corpus)
    parts: list[dict[str, np.ndarray]] = []
    unmarked: list[TextError] = []
    edges: set[tuple[int, int]] = set()
    for start in range(0, len(corpus), _BATCH):
        documents = corpus.documents[start : start + _BATCH]
        part, part_edges = _tokenise_batch(documents, tokenizer, split, unmarked)
        parts.append(part if documents[0].second is None else cut_pairs(part, longest))
        edges |= part_edges
    if len(edges) > 1:
        raise ModelError(
            f"Every document must get the same number of special tokens at each end: {type(tokenizer).__name__} "
            f"adds {sorted(edges)}. Use a tokenizer with one template for single texts."
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if unmarked:
        columns["assistant"][:] = False
        log.warning("No tokens are marked as the assistant's. %s", unmarked[0])
    if split:
        _warn_of_special(corpus, tokenizer)
    warn_of_joined(columns["segment"], tokenizer)
    prefix, suffix = next(iter(edges), (0, 0))
    unknown = tokenizer.unk_token_id
    pairs = bool(len(corpus)) and corpus[0].second is not None
    segment, types = columns.pop("segment"), columns.pop("types")
    types = types if pairs and "token_type_ids" in tokenizer.model_input_names else None
    return TokenTable(
        ptr=_pointers(columns.pop("lengths")),
        word_ptr=_pointers(columns.pop("n_words")),
        prefix=prefix,
        suffix=suffix,
        unknown_id=-1 if unknown is None else int(unknown),
        digest=_digest(columns["ids"], types, tokenizer),
        segment=segment if pairs else None,
        types=types,
        **columns,
    )


def _tokenise_batch(
    documents: Sequence[Document], tokenizer: Any, split: bool, unmarked: list[TextError]
) -> tuple[dict[str, np.ndarray], set[tuple[int, int]]]:
    texts = [document.texts[0] for document in documents]
    where = [f"document {document.key!r}" for document in documents]
    chats, pairs = documents[0].chat is not None, documents[0].second is not None
    second = [document.texts[1] for document in documents] if pairs else None
    encodings = encode(texts, tokenizer, where, second=second, special_tokens=not chats, split=split and not chats)
    lengths = np.array([len(encoding.ids) for encoding in encodings], np.int64)
    special = _flat([encoding.special_tokens_mask for encoding in encodings]).astype(bool)
    assistant = np.zeros(len(special), bool)
    if chats:
        special = np.isin(_flat([encoding.ids for encoding in encodings]), special_ids(tokenizer))
        if not unmarked:
            try:
                assistant = np.concatenate(assistant_tokens(documents, encodings, tokenizer))
            except TextError as error:
                unmarked.append(error)
    offsets = _flat([encoding.offsets for encoding in encodings]).reshape(-1, 2)
    spans = [_word_spans(document) for document in documents]
    n_words = np.array([len(span) for span in spans], np.int64)
    words = _flat(spans).reshape(-1, 2)
    document_of = np.repeat(np.arange(len(documents)), lengths)
    segment, types = np.full(len(special), -1, np.int32), np.zeros(len(special), np.int32)
    if pairs:
        types = _flat([encoding.type_ids for encoding in encodings])
        own = [[-1 if text is None else text for text in encoding.sequence_ids] for encoding in encodings]
        segment = _flat(own)
        offsets += np.where(segment == 1, np.array([d.second for d in documents])[document_of], 0)[:, None]
    word, wordless = _align(documents, document_of, offsets, special, words, n_words)
    part = {
        "lengths": lengths,
        "n_words": n_words,
        "ids": _flat([encoding.ids for encoding in encodings]),
        "word": word,
        "char_start": np.where(special, -1, offsets[:, 0]).astype(np.int32),
        "char_end": np.where(special, -1, offsets[:, 1]).astype(np.int32),
        "special": special,
        "word_start": words[:, 0],
        "word_end": words[:, 1],
        "words_without_tokens": wordless,
        "assistant": assistant,
        "segment": segment,
        "types": types,
        "cut": np.zeros(len(documents), bool),
    }
    return part, {(0, 0)} if chats or pairs else _special_edges(special, lengths)


def _warn_of_special(corpus: Corpus, tokenizer: Any) -> None:
    """Log one warning if texts spell special tokens, which were read as text."""
    strings = tokenizer.convert_ids_to_tokens(special_ids(tokenizer))
    spelled = re.compile("|".join(map(re.escape, strings))) if strings else None
    found = [document for document in corpus if spelled and document.chat is None and spelled.search(document.text)]
    if found:
        log.warning(
            "%d of %d texts spell a special token, which is read as text (first: document %r has %r). If it stands for "
            "the token use special_tokens='tokens'.",
            len(found),
            len(corpus),
            found[0].key,
            spelled.search(found[0].text)[0],  # type: ignore[index, union-attr]
        )


def _word_spans(document: Document) -> Sequence[tuple[int, int]]:
    if document.words is not None:
        return document.words
    return [match.span() for match in _WORD.finditer(document.text)]


def _align(
    documents: Sequence[Document],
    document_of: np.ndarray,
    offsets: np.ndarray,
    special: np.ndarray,
    words: np.ndarray,
    n_words: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Word of each token in its document (-1: none), and the number of words without tokens of each document."""
    sizes = np.array([len(document.text) for document in documents], np.int64)
    base = _pointers(sizes + 1)[:-1]  # one axis of characters for all documents of the batch, with a gap between them
    text = ~special
    start, end = offsets[text, 0].astype(np.int64), offsets[text, 1].astype(np.int64)
    owner = document_of[text]
    bad = (start < 0) | (end < start) | (end > sizes[owner])
    start, end = start + base[owner], end + base[owner]
    bad[1:] |= np.diff(start) < 0
    if bad.any():
        raise TextError(
            "A tokenizer's offsets must lie inside the text and increase: those of document "
            f"{documents[int(owner[bad.argmax()])].key!r} do not. Use another version of the tokenizer."
        )
    word_owner = np.repeat(np.arange(len(documents)), n_words)
    word_start, word_end = words[:, 0] + base[word_owner], words[:, 1] + base[word_owner]
    filled = np.flatnonzero(word_end > word_start)  # an empty word has no characters to align
    slot = np.searchsorted(word_end[filled], start, side="right")  # the first word that ends after the token starts
    known = slot < len(filled)
    candidate = filled[np.minimum(slot, max(len(filled) - 1, 0))] if len(filled) else np.zeros_like(slot)
    if len(filled):
        known &= word_owner[candidate] == owner
        known &= (end > word_start[candidate]) | (end == start)  # otherwise the token is whitespace before the word
        _check_word_boundaries(documents, owner, end, known, slot, filled, word_start, word_owner)
    word = np.full(len(document_of), -1, np.int32)
    first_word = _pointers(n_words)[:-1]
    word[text] = np.where(known, candidate - first_word[owner], -1) if len(filled) else -1
    with_tokens = np.bincount(word_owner[np.unique(candidate[known])], minlength=len(documents))
    return word, n_words - with_tokens


def _check_word_boundaries(
    documents: Sequence[Document],
    owner: np.ndarray,
    end: np.ndarray,
    known: np.ndarray,
    slot: np.ndarray,
    filled: np.ndarray,
    word_start: np.ndarray,
    word_owner: np.ndarray,
) -> None:
    """Refuse a token that covers parts of two given words. Where words are not given, it belongs to the first one."""
    following = filled[np.minimum(slot + 1, len(filled) - 1)]
    given = np.array([document.words is not None for document in documents])
    bad = known & given[owner] & (slot + 1 < len(filled)) & (word_owner[following] == owner)
    bad &= end > word_start[following]
    if bad.any():
        raise TextError(
            f"A token must not span two words: one does in document {documents[int(owner[bad.argmax()])].key!r}. Give "
            "this tokenizer texts (strings) instead of word lists."
        )


def _special_edges(special: np.ndarray, lengths: np.ndarray) -> set[tuple[int, int]]:
    """The (prefix, suffix) counts of special tokens in the documents that also have other tokens."""
    ptr = _pointers(lengths)
    content = np.flatnonzero(~special)
    document = np.searchsorted(ptr, content, side="right") - 1
    first = np.concatenate([[True], np.diff(document) > 0]) if len(content) else np.zeros(0, bool)
    last = np.concatenate([np.diff(document) > 0, [True]]) if len(content) else np.zeros(0, bool)
    before = content[first] - ptr[document[first]]
    after = ptr[document[last] + 1] - 1 - content[last]
    if int((~special).sum()) != int((content[last] - content[first] + 1).sum()):
        raise ModelError(
            "Special tokens must be at the ends of a text: this tokenizer adds some inside. Use another tokenizer."
        )
    return set(zip(before.tolist(), after.tolist(), strict=True))


def _flat(lists: Sequence[Sequence[Any]]) -> np.ndarray:
    filled = [np.asarray(entry, dtype=np.int32) for entry in lists if len(entry)]
    return np.concatenate(filled) if filled else np.zeros(0, np.int32)


def _pointers(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _digest(ids: np.ndarray, types: np.ndarray | None, tokenizer: Any) -> str:
    """xxh3-128 over ids, token types of pairs, and strings of the ids: equal for tokenizers with equal tokens.

    Document boundaries are not included, since the rows' identities contain them.
    """
    used = np.unique(ids)
    digest = xxhash.xxh3_128(np.ascontiguousarray(ids, "<i4"))
    if types is not None:
        digest.update(np.ascontiguousarray(types, "<i4"))
    digest.update("\n".join(tokenizer.convert_ids_to_tokens(used.tolist())).encode())
    return digest.hexdigest()
