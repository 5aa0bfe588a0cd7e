"""Find the rows of targets in a store: spans of words become spans of tokens, by characters."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.errors import TextError
from ...inference.groups import group_numbers
from ...store import ActivationStore, match_texts
from .records import Record, word_spans

__all__ = ["Finding", "Targets", "align", "pointers", "ranges"]

log = logging.getLogger("pyrepsim.probing")


@dataclass(frozen=True)
class Finding:
    """A problem of a target or record: the reason, where it is, and whether the target was kept."""

    reason: str
    where: str
    kept: bool = False


@dataclass(frozen=True, eq=False)
class Targets:
    """All targets of a split, sentence after sentence.

    Attributes
    ----------
    labels : all labels that a target may have.
    ptr : (n_sentences + 1,) where the targets of each sentence begin; sentences without targets are left out.
    record : (n_sentences,) index of the record of each sentence.
    document : (n_sentences,) number of the document of each sentence.
    spans : (n_targets, n_spans, 2) first row, and one past the last row, in the store.
    label_ptr, label_ids : the labels of each target, as indices into `labels`.
    unseen : for some targets, gold labels that are not in `labels`; they count as missed.
    findings : targets that were left out, and targets that were kept although something is odd.
    """

    labels: tuple[str, ...]
    ptr: np.ndarray
    record: np.ndarray
    document: np.ndarray
    spans: np.ndarray
    label_ptr: np.ndarray
    label_ids: np.ndarray
    unseen: dict[int, tuple[str, ...]]
    findings: tuple[Finding, ...] = field(repr=False, default=())

    @property
    def n_sentences(self) -> int:
        return len(self.record)

    @property
    def n_targets(self) -> int:
        return int(self.ptr[-1])

    @property
    def n_spans(self) -> int:
        return self.spans.shape[1]

    def multi_hot(self, targets: np.ndarray) -> np.ndarray:
        """Return the labels of these targets as float32 of shape (len(targets), len(labels)), 1 for each label."""
        out = np.zeros((len(targets), len(self.labels)), np.float32)
        counts = np.diff(self.label_ptr)[targets]
        owner = np.repeat(np.arange(len(targets)), counts)
        out[owner, self.label_ids[ranges(self.label_ptr[targets], counts)]] = 1
        return out

    def first(self, n_sentences: int | None) -> Targets:
        """Return the targets of the first sentences only."""
        if n_sentences is None or n_sentences >= self.n_sentences:
            return self
        return self.take(np.arange(n_sentences))

    def take(self, sentences: np.ndarray) -> Targets:
        """Return the targets of these sentences, in this order."""
        counts = np.diff(self.ptr)[sentences]
        chosen = ranges(self.ptr[sentences], counts)
        n_labels = np.diff(self.label_ptr)[chosen]
        return Targets(
            labels=self.labels,
            ptr=pointers(counts),
            record=self.record[sentences],
            document=self.document[sentences],
            spans=self.spans[chosen],
            label_ptr=pointers(n_labels),
            label_ids=self.label_ids[ranges(self.label_ptr[chosen], n_labels)],
            unseen={new: self.unseen[int(old)] for new, old in enumerate(chosen) if int(old) in self.unseen},
            findings=self.findings,
        )


def align(
    store: ActivationStore,
    records: Sequence[Record],
    *,
    name: str,
    labels: tuple[str, ...] | None = None,
    texts: Sequence[str] | None = None,
) -> Targets:
    """Find the rows of every target.

    A span of words becomes the rows from the first to the last token that shares a character with it. Targets that
    cannot be probed are left out and listed with their reason in `findings`; warnings in the log count them.

    Parameters
    ----------
    store, records : the store, and records of its texts.
    name : name of the split, for messages.
    labels : all labels. Default: those of the records.
    texts : texts of the store's documents. Default: those of the records.

    Raises
    ------
    TextError
        If no target is left.
    RowMismatchError
        If the store holds other texts.
    """
    if labels is None:
        labels = tuple(sorted({label for record in records for target in record.targets for label in target.labels}))
    findings: list[Finding] = []
    spans: list[tuple[tuple[int, int], ...]] = []
    gold_labels: list[tuple[str, ...]] = []
    owner: list[int] = []
    tokens = _Tokens(store)
    documents = match_texts(store, [record.text for record in records], texts)
    for index, (record, document) in enumerate(zip(records, documents, strict=True)):
        for rows, gold in _aligned_targets(tokens, record, int(document), findings):
            spans.append(rows)
            gold_labels.append(gold)
            owner.append(index)
    place = {label: i for i, label in enumerate(labels)}
    unseen = {}
    for index, gold in enumerate(gold_labels):
        if missing := tuple(label for label in gold if label not in place):
            unseen[index] = missing
            findings.append(Finding("label not seen in training, counted as missed", records[owner[index]].where, True))
    _log_findings(findings, name)
    if not spans:
        reasons = "; ".join(sorted({finding.reason for finding in findings})) or "the records have none"
        raise TextError(f"There must be targets to probe: {name} has none left ({reasons}). Check records and store.")
    sentences, counts = np.unique(np.array(owner, np.int64), return_counts=True)
    known = [[place[label] for label in gold if label in place] for gold in gold_labels]
    return Targets(
        labels=labels,
        ptr=pointers(counts),
        record=sentences,
        document=group_numbers([records[index].document for index in sentences.tolist()]),
        spans=np.array(spans, np.int64),
        label_ptr=pointers([len(ids) for ids in known]),
        label_ids=np.array([i for ids in known for i in ids], np.int64),
        unseen=unseen,
        findings=tuple(findings),
    )


def _aligned_targets(
    tokens: _Tokens, record: Record, document: int, findings: list[Finding]
) -> Iterator[tuple[tuple[tuple[int, int], ...], tuple[str, ...]]]:
    """Yield rows and labels of the targets of one record that can be probed; add the others to `findings`."""
    if not record.targets:
        findings.append(Finding("record without targets", record.where))
        return
    words = word_spans(record.text)
    problem = tokens.problem(document, record.text, words)
    for index, target in enumerate(record.targets):
        where = f"target {index} of {record.where}"
        reason = problem
        rows: list[tuple[int, int]] = []
        for start, end in target.spans if reason is None else ():
            if not 0 <= start < end <= len(words):
                reason = "span outside its sentence"
                break
            rows.append(tokens.rows(document, words[start][0], words[end - 1][1]))
            if rows[-1][0] >= rows[-1][1]:
                reason = "span without its tokens in the store"
                break
        if reason is None and not target.labels:
            findings.append(Finding("target without a label", where, True))
        if reason is not None:
            findings.append(Finding(reason, where))
            continue
        if _overlap(target.spans):
            findings.append(Finding("spans of one target overlap", where, True))
        yield tuple(rows), target.labels


class _Tokens:
    """The text tokens of each document of a store, with their characters."""

    def __init__(self, store: ActivationStore) -> None:
        if store.columns.held not in ("all", "content", "document"):
            raise TextError(
                f"Spans need every token of a text: {store.path} was extracted with tokens={store.columns.held!r}. "
                "Extract it without tokens=."
            )
        content = np.flatnonzero(store.columns.mask("content") & (store.columns.char_start >= 0))
        if not len(content):
            raise TextError(
                f"Spans are matched to tokens by characters: the rows of {store.path} have none. Extract the store, or "
                "give write_store the columns char_start and char_end."
            )
        self._row = content
        self._start = store.columns.char_start[content].astype(np.int64)
        self._end = store.columns.char_end[content].astype(np.int64)
        self._document = store.columns.doc_id[content]
        entries = {entry["doc_id"]: entry for entry in store.docs()}
        self._n_words = {document: entry.get("n_words") for document, entry in entries.items()}
        self._lacking = {document for document, entry in entries.items() if entry.get("words_without_tokens")}
        self._truncated = {document for document, entry in entries.items() if entry.get("truncated")}

    def problem(self, document: int, text: str, words: Sequence[tuple[int, int]]) -> str | None:
        """Return why this document of the store cannot be that text, or None if it can."""
        if document < 0:
            return "sentence not in the store"
        low, high = self._bounds(document)
        if low == high or not words:
            return "sentence without tokens in the store"
        start, end = self._start[low:high], self._end[low:high]
        word_start, word_end = np.array(words).reshape(-1, 2).T
        whole = document not in self._truncated and document not in self._lacking
        if end.max() > len(text) or (whole and end.max() <= word_start[-1]):
            return "the store has another text here"
        following = np.searchsorted(word_end, start, side="right") + 1  # the word after the one a token starts in
        inside = following < len(words)
        crosses = (end[inside] > word_start[following[inside]]).any()
        counts = len(words), len(text.split())  # an extraction splits running text at any whitespace
        if crosses or self._n_words.get(document, len(words)) not in counts:
            return "the store has other words here"
        return None

    def rows(self, document: int, start: int, end: int) -> tuple[int, int]:
        """Return the first row, and one past the last, of the tokens that share a character with start..end.

        (0, 0) if there is none, or if the document was cut off before `end`.
        """
        low, high = self._bounds(document)
        if document in self._truncated and end > self._end[low:high].max():
            return 0, 0
        first = low + int(np.searchsorted(self._end[low:high], start, side="right"))
        stop = low + int(np.searchsorted(self._start[low:high], end, side="left"))
        return (int(self._row[first]), int(self._row[stop - 1]) + 1) if first < stop else (0, 0)

    def _bounds(self, document: int) -> tuple[int, int]:
        low, high = np.searchsorted(self._document, [document, document + 1])
        return int(low), int(high)


def _overlap(spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether two different spans share words."""
    return len(spans) == 2 and spans[0] != spans[1] and spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]


def _log_findings(findings: Sequence[Finding], name: str) -> None:
    for (reason, kept), count in Counter((finding.reason, finding.kept) for finding in findings).items():
        first = next(finding.where for finding in findings if finding.reason == reason)
        log.warning("%s: %d %s: %s (first: %s)", name, count, "kept" if kept else "left out", reason, first)


def pointers(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return cumulative counts with a leading zero, int64."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return start, start + 1, ..., start + count - 1 for each pair, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
