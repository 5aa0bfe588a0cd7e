"""`compare_revisions`: many revisions of a model against one reference, which is read once.

Each revision is extracted to a store of its own, compared with that of the reference, and removed. This is slower than
a stream by the time to write its rows, which is short beside loading the model; and it takes every measure and interval
that `compare` has, in the memory of `compare`.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from ..backends import get_backend
from ..comparison.best import best_matches
from ..comparison.comparing import check_interval, check_scores, scores_of_sides
from ..comparison.intervals import as_interval
from ..comparison.layers import layer_pairs
from ..comparison.options import ExecutionOptions, as_measures
from ..comparison.sources import Sides, open_sides
from ..core.errors import MissingExtraError, OptionError
from ..core.outputs import has_files
from ..core.ownership import owning
from ..core.paths import as_path
from ..core.patterns import expanded
from ..core.resume import write_record
from ..core.states import load_record
from ..data.documents import Corpus
from ..data.texts import read_texts
from ..inference import Bootstrap, Jackknife
from ..models import Encoder, ModelLike
from ..models.hooks import layer_names
from ..models.revisions import Revision, find_reference, find_revisions, rows_digest
from ..results import RevisionScores, Score, Scores
from ..results.score_files import jsonable, score_fields
from ..store import ActivationStore
from ..store.columns import Tokens
from ..store.removal import remove_store
from .batches import reads_batches
from .extracting import extract
from .item_runs import of_side
from .options import ForwardOptions, with_keywords_of
from .plan import check_tokens, tokens_text
from .streaming import widths_of_side

if TYPE_CHECKING:
    from ..measures import Measure

__all__ = ["compare_revisions"]

log = logging.getLogger("pyrepsim.extraction")

_STORES = ("store_x", "store_y", "digest_x", "digest_y", "stored_rows")


@with_keywords_of(ForwardOptions, without=("revision",))
def compare_revisions(
    model: ModelLike | Sequence[ModelLike] | Mapping[str, ModelLike],
    revisions: Sequence[str] | None,
    texts: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    reference: ModelLike | None = None,
    layers: Any = "same",
    tokens: Tokens = "content",
    interval: Bootstrap | Jackknife | str | None = None,
    out: str | os.PathLike[str] | None = None,
    backend: str = "auto",
    n_threads: int | None = None,
    memory: int | str | None = None,
    precision: str = "auto",
    wait: float | None = None,
    progress: bool | None = None,
    **options: Any,
) -> RevisionScores:
    """Compare many revisions of a model with one of them, or with another model, on the same texts.

    The reference is read once. One revision at a time is loaded, and nothing but its scores is kept. Revisions with
    equal weights are computed once; a warning and `RevisionScores.equal_weights` name them.

    Parameters
    ----------
    model : hub id, folder, or sequence or mapping of models
        A hub id, of which `revisions` are read. A folder of checkpoints: ``checkpoint-*`` of transformers' Trainer, or
        ``checkpoints/step-*`` of a run of `finetune`. Or models of any kind that `load_encoder` takes; the keys of a
        mapping are their names.
    revisions : sequence of str, optional
        Branches, tags or commits of the hub id, such as ``["step0", "step1000"]``; or names of checkpoints in the
        folder. None, for a folder: all, in the order of their numbers; for a list of models.
    texts
        See `read_texts`.
    measures : Measure, str, or a sequence of these
        As in `compare`.
    reference : str or model, optional
        X of the comparisons: the name of a revision, or any model. Default: the last revision.
    layers, tokens, interval, backend, n_threads, memory, precision
        As in `compare`; `layers` may also name hook points, as in `extract`: ``["layer.*.mlp"]``.
    out : path, optional
        Folder for the scores of each revision, from which an interrupted sweep is resumed after the last finished
        revision; for all scores, as ``scores.csv`` and ``scores.jsonl``, and their figure; and for the float32 rows of
        the reference. Without it, rows are in a temporary folder.
    wait : float, optional
        Seconds to wait for another process that writes to `out`. By default it is refused at once.
    progress, words, rows, long, max_length, batch_tokens, special_tokens
        As in `extract`. Models with different tokenizers need `words` or ``rows="document"``.
    device, model_dtype, device_map, attention, quantization, adapter
        See `load_encoder`. A revision on the hub without tokenizer gets that of the reference.

    Returns
    -------
    RevisionScores
        The `Scores` of each revision by its name, in the order of `revisions`.

    Raises
    ------
    OptionError
        If there are fewer than two revisions, or an option does not apply.
    ModelError
        If a revision does not exist: before anything is computed.
    StoreError
        If `out` has scores of another request: another reference, other texts, options, weights or versions.
    LockedError
        If another process writes to `out`.
    PyrepsimError
        As in `extract` and `compare`.

    Notes
    -----
    Memory is that of one model and of `compare`. On the disk are two stores of float32 rows, of the reference and of
    one revision, which take 4 bytes for each row and feature. The values are those of ``compare_models(reference,
    revision)`` up to the order of sums, and of the padding of batches if `tokens` leaves windows of long texts unread.
    Where a measure is not defined for a revision, such as constant features of a layer, the score is NaN, as in
    `compare`.

    A revision that was finished is not loaded again. It is recognised by its commit on the hub, or by the names, sizes
    and times of the files in its folder. Revisions that are downloaded stay in the cache of the hub.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> models = {"base": "bert-base-uncased", "tuned": "textattack/bert-base-uncased-MNLI"}
    >>> texts = ["the keys are here", "the river", "a bank of the river is here"] * 9
    >>> result = rs.compare_revisions(models, None, texts, "LinearCKA", reference="base", device="cpu", progress=False)
    >>> print(result.table())  # doctest: +ELLIPSIS
    base ~ each revision, n = ...
    """
    chosen = ForwardOptions(**options)
    tokens = check_tokens(tokens, chosen)
    if reads_batches(chosen.rows, texts):
        raise OptionError(
            "A sweep over revisions reads texts: got batches of tensors. Extract each model to a store, and compare "
            "the stores."
        )
    layers = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str | Mapping) else layers
    if not isinstance(layers, list):
        layer_pairs(["embeddings"], ["embeddings"], layers)  # raises for what is no word for layers
    computing = ExecutionOptions(
        backend=get_backend(backend).name, n_threads=n_threads, precision=precision, memory=memory
    )
    if interval is not None:
        interval = as_interval(interval)
        check_interval(layers)
    found = find_revisions(model, revisions)
    corpus = read_texts(texts)
    base = find_reference(reference, found)
    parsed = as_measures(measures)
    sweep = _Sweep(base, corpus, parsed, layers, tokens, interval, chosen, computing, progress)
    with _folder(out, wait) as folder:
        records = sweep.records(found, folder)
        result = _result(found, sweep.reference, records)
        if out is not None:
            _write(result, folder)
    return result


@contextmanager
def _folder(out: str | os.PathLike[str] | None, wait: float | None) -> Iterator[Path]:
    """The folder of a sweep, which we own; a temporary one if there is none."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="pyrepsim-") as temporary:
            yield Path(temporary)
    else:
        folder = as_path(out, "out")
        with owning(folder, wait=wait):
            yield folder


@dataclass(frozen=True)
class _Sweep:
    """What all revisions have in common."""

    reference: Revision
    corpus: Corpus
    measures: list[Measure]
    layers: Any
    tokens: Tokens
    interval: Bootstrap | Jackknife | None
    options: ForwardOptions
    computing: ExecutionOptions
    progress: bool | None

    def request(self, revision: Revision) -> dict[str, Any]:
        """All that decides the scores of a revision."""
        return {
            "reference": {"name": self.reference.label, **self.reference.identity},
            "revision": {"name": revision.label, **revision.identity},
            "texts": self.corpus.fingerprint,
            "options": {**self.options.reading(), **self.options.loading()},
            "measures": [str(measure) for measure in self.measures],
            "layers": self.layers,
            "tokens": tokens_text(self.tokens),
            "interval": str(self.interval),
            "precision": self.computing.precision,
            "backend": self.computing.backend,
        }

    def records(self, found: Sequence[Revision], folder: Path) -> dict[str, dict[str, Any]]:
        """The records of all revisions, by name: read from the folder, or computed and written."""
        paths = {one.name: folder / "revisions" / _file_name(one.name) for one in found}
        records = {}
        for one in found:
            record = load_record(paths[one.name], self.request(one))
            if record is not None:
                records[one.name] = record
        if has_files(folder / "revision"):  # of an interrupted call
            remove_store(folder / "revision")
        missing = [one for one in found if one.name not in records]
        base = self._read_reference(folder) if missing else None
        gc.collect()  # the parts of a model refer to each other; what follows needs their memory
        for number, one in enumerate(missing, start=1):
            log.info("%d of %d: %s", number, len(missing), one.label)
            record, sides = self._read(one, base, records, folder)
            gc.collect()
            if sides is not None:
                record |= {"scores_of": None, "scores": self._entries(sides, base)}
                remove_store(folder / "revision")
            del sides  # the files that it has open take space until they are closed
            write_record(paths[one.name], self.request(one), **record)
            records[one.name] = load_record(paths[one.name], self.request(one))
        return records

    def _read_reference(self, folder: Path) -> _Base:
        encoder = self.reference.load(**self.options.loading())
        known = list(widths_of_side(encoder, self.layers, 0))
        named = self.layers
        if isinstance(named, list):
            named = layer_names([of_side(entry, 0) for entry in named], known, encoder.name)
            named = list(dict.fromkeys(expanded(named, known)))
        store = extract(
            encoder,
            self.corpus,
            folder / "reference",
            layers=named if isinstance(named, list) else "all",
            tokens=self.tokens,
            dtype="float32",
            worker="0/1",
            progress=self.progress,
            **self.options.reading(),
        )
        assert store is not None  # one worker
        return _Base(store, known, encoder.tokenizer, _described(encoder))

    def _read(
        self, revision: Revision, base: _Base, records: Mapping[str, Mapping[str, Any]], folder: Path
    ) -> tuple[dict[str, Any], Sides | None]:
        """The record of a revision, and its rows with those of the reference; or the scores of one with equal rows."""
        encoder = revision.load(base.tokenizer, **self.options.loading())
        record = {"reference": base.model, "model": _described(encoder)}
        rows = record["model"]["rows"]
        for name, other in records.items():
            if rows is not None and other["model"]["rows"] == rows:
                return record | {"scores_of": name, "scores": other["scores"]}, None
        pairs = self.layers
        if isinstance(pairs, list):
            pairs = layer_pairs(base.layers, list(widths_of_side(encoder, pairs, 1)), pairs)
        named = "all" if isinstance(pairs, str) else list(dict.fromkeys(name for _, name in pairs))
        store = extract(
            encoder,
            self.corpus,
            folder / "revision",
            layers=named,
            tokens=self.tokens,
            dtype="float32",
            same_plan_as=base.store,
            worker="0/1",
            overwrite=True,
            progress=self.progress,
        )
        return record, open_sides(base.store, store, layers=pairs, tokens="all", backend=self.computing.backend)

    def _entries(self, sides: Sides, base: _Base) -> list[Any]:
        """The scores of a revision as JSON."""
        scores = scores_of_sides(sides, self.measures, self.computing, interval=self.interval, progress=self.progress)
        if self.layers == "best":
            scores = best_matches(scores, self.measures)
        texts = {"tokens": tokens_text(self.tokens), "texts": self.corpus.fingerprint, "policy": self._policy(base)}
        return [_entry(score, texts) for score in scores]

    def _policy(self, base: _Base) -> dict[str, Any]:
        """The policy of the plan, as `compare_models` records it."""
        left_out = ("shard_tokens",) if self.options.by_document else ("shard_tokens", "tokens")
        return {name: value for name, value in base.store.plan["policy"].items() if name not in left_out}


@dataclass(frozen=True)
class _Base:
    """What a sweep keeps of its reference: its rows on the disk, and not its weights."""

    store: ActivationStore
    layers: list[str]
    tokenizer: Any
    model: dict[str, Any]


def _described(encoder: Encoder) -> dict[str, Any]:
    return {
        "name": encoder.name,
        "revision": encoder.revision,
        "weights": encoder.weights,
        "rows": rows_digest(encoder),
    }


def _entry(score: Score, texts: Mapping[str, Any]) -> Any:
    """A score as JSON, with the provenance that it shares with revisions of the same rows."""
    shared = {name: value for name, value in score.provenance.items() if name not in _STORES}
    return jsonable(vars(score.named(score.layer_x, score.layer_y, {**shared, **texts})))


def _result(found: Sequence[Revision], reference: Revision, records: Mapping[str, Mapping[str, Any]]) -> RevisionScores:
    """The scores of all records, and a warning that names revisions with equal weights."""
    owners: dict[str, list[str]] = {}
    if reference.name not in records:
        owners[records[found[0].name]["reference"]["weights"]] = [reference.name]
    for one in found:
        owners.setdefault(records[one.name]["model"]["weights"], []).append(one.name)
    equal = [names for names in owners.values() if len(names) > 1]
    if equal:
        again = [one.name for one in found if records[one.name]["scores_of"] is not None]
        log.warning(
            "Equal weights: %s. Check that these revisions hold what their names say.%s",
            "; ".join(_joined(names, " = ") for names in equal),
            f" Not computed again, with the scores of an equal one: {_joined(again, ', ')}." if again else "",
        )
    firsts = {name: names[0] for names in equal for name in names[1:]}
    scores = {}
    for one in found:
        own: dict[str, Any] = {"revision": one.name}
        if one.name in firsts:
            own["same_weights_as"] = firsts[one.name]
        for side, model in (("x", records[one.name]["reference"]), ("y", records[one.name]["model"])):
            own |= {f"model_{side}": model["name"], f"weights_{side}": model["weights"]}
            own |= {} if model["revision"] is None else {f"revision_{side}": model["revision"]}
        entries = [Score(**score_fields(entry)) for entry in records[one.name]["scores"]]
        scores[one.name] = Scores(s.named(s.layer_x, s.layer_y, {**s.provenance, **own}) for s in entries)
    result = RevisionScores(scores, reference.name, equal)
    check_scores(result.scores)
    return result


def _joined(names: Sequence[str], separator: str) -> str:
    shown = separator.join(names[:6])
    return shown if len(names) <= 6 else f"{shown}{separator}... ({len(names)} in all)"


def _write(result: RevisionScores, folder: Path) -> None:
    result.to_csv(folder / "scores.csv")
    result.scores.to_jsonl(folder / "scores.jsonl")
    try:
        result.plot(folder / "scores.svg")
    except (MissingExtraError, OptionError) as error:
        log.info("no figure: %s", error)


def _file_name(name: str) -> str:
    """A name for the record of a revision: readable, and different for different names."""
    digest = xxhash.xxh3_64_hexdigest(name.encode("utf-8", "surrogatepass"))
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[-60:].strip('.-')}-{digest[:8]}.json"
