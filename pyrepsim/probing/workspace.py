"""The workspace of a probing: the model, the output folder, stores that are extracted once, and the finished result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..core.errors import StoreError
from ..core.paths import as_path
from ..core.resume import check_same_request, read_record, request_digest, write_record
from ..data import Corpus, read_texts
from ..extraction import extract
from ..models import Encoder, load_encoder, wrap
from ..models.layer_changes import reinitialise_all
from ..store import ActivationStore, remove_store, store_info
from ..store.repair import drop_damaged
from ..version import __version__
from .annotations import AnnotatedSplit
from .comparison import ProbeComparison
from .controls import Selectivity
from .options import ProbingOptions

__all__ = ["Probing", "Workspace", "open_workspace", "summary"]

Result = TypeVar("Result")

_RECORD = "probing.json"


@dataclass(frozen=True, eq=False, repr=False)
class Probing(Generic[Result]):
    """A finished probing.

    Attributes
    ----------
    folder : Path
        The output folder.
    result : EdgeResult, CodeLengths or StructuralProbeResult
    files : tuple of Path
        The files that were written.
    comparison : ProbeComparison, optional
        Differences from the probing that was given as `base`.
    selectivity : tuple of Selectivity
        One for each probe, if the control task was trained too.
    stores : tuple of Path
        The activation stores that were kept.
    n_bytes : int
        Size of these stores in bytes.
    """

    folder: Path
    result: Result
    files: tuple[Path, ...]
    comparison: ProbeComparison | None = None
    selectivity: tuple[Selectivity, ...] = ()
    stores: tuple[Path, ...] = ()
    n_bytes: int = 0

    def table(self) -> str:
        """Return all tables as text."""
        return summary(self.result, self.selectivity, self.comparison)

    def __repr__(self) -> str:
        return f"Probing({str(self.folder)!r}, {self.result!r})"


def summary(result: Any, selectivity: Sequence[Selectivity] = (), comparison: ProbeComparison | None = None) -> str:
    """Return the tables of a result, of the selectivity of its probes, and of a comparison, as text."""
    tables = [result.table()]
    if selectivity:
        width = max(len(record.member) for record in selectivity)
        lines = ["selectivity: F1 in percent on the task, on the control task, and their difference"]
        lines += [
            f"{record.member:<{width}}  {100 * record.task:6.2f} {100 * record.control:6.2f} "
            f"{100 * record.selectivity:6.2f}"
            for record in selectivity
        ]
        tables.append("\n".join(lines))
    if comparison is not None:
        tables.append("compared with base: " + comparison.table())
    return "\n\n".join(tables)


@dataclass(eq=False)
class Workspace:
    """Made by `open_workspace`.

    Attributes
    ----------
    encoder : the model to probe.
    model : its record, as JSON.
    folder : where results are written.
    stores_folder : where activation stores are written.
    options : the options of the probing.
    request : what its results belong to, as JSON; set by `begin`.
    """

    encoder: Encoder
    model: Mapping[str, Any]
    folder: Path
    stores_folder: Path
    options: ProbingOptions
    request: dict[str, Any] = field(default_factory=dict)
    _record: dict[str, Any] = field(default_factory=dict)

    @property
    def training_folder(self) -> Path:
        """Folder of the training states."""
        return self.folder / "training"

    @property
    def device(self) -> str:
        return str(self.encoder.device)

    def begin(self, kind: str, splits: Mapping[str, AnnotatedSplit], **settings: Any) -> bool:
        """Record the request of this probing; return whether the folder holds its finished result.

        Raises StoreError if the folder holds another probing, unless ``overwrite`` is set.
        """
        self.request = {"kind": kind, "model": self.model, "extraction": self.options.extraction}
        self.request |= {"data": {name: split.digest for name, split in splits.items()}}
        self.request |= {**settings, "version": __version__}
        self._record = {"read": {name: dict(split.counts) for name, split in splits.items()}, "stores": {}}
        path = self.folder / _RECORD
        if self.options.overwrite and path.exists():
            shutil.rmtree(self.training_folder, ignore_errors=True)
        earlier = None if self.options.overwrite else read_record(path)
        if earlier is None:
            write_record(path, self.request, **self._record, finished=False)
            return False
        remedy = "Choose another folder, or replace its contents: overwrite=True, or --overwrite on the command line."
        check_same_request(earlier["request"], self.request, where=self.folder, remedy=remedy)
        self._record["stores"] = dict(earlier.get("stores", {}))
        return bool(earlier.get("finished"))

    def extract(self, splits: Mapping[str, AnnotatedSplit], *, words: str | None = None) -> dict[str, ActivationStore]:
        """Return the store of each split, extracted now unless it exists; splits with the same texts share one."""
        stores: dict[str, ActivationStore] = {}
        extracted: set[Path] = set()
        for name, split in splits.items():
            corpus = read_texts(list(split.texts))
            path = self.store_path(name, corpus, words)
            if path not in extracted and not self.options.overwrite:
                drop_damaged(path)
            store = extract(
                self.encoder,
                corpus,
                path,
                words=words,
                worker="0/1",
                overwrite=self.options.overwrite and path not in extracted,
                wait=self.options.wait,
                progress=self.options.progress,
                **self.options.extraction,
            )
            if store is None:  # a single worker always seals its store
                raise StoreError(f"A probing reads complete stores: {path} is not complete. Run the probing again.")
            extracted.add(path)
            stores[name] = store
        self._record["stores"] = {name: str(store.path) for name, store in stores.items()}
        return stores

    def store_path(self, name: str, corpus: Corpus, words: str | None) -> Path:
        """Return the folder of a store. Its name has a digest of all that decides its contents: probings share it."""
        request = {**self.encoder.record(), **self.options.extraction, "words": words, "texts": corpus.fingerprint}
        request |= {"tokenizer": self.encoder.tokenizer_digest, "device": self.encoder.device.type}
        digest = request_digest(request)[:16]
        return next(self.stores_folder.glob(f"*-{digest}"), self.stores_folder / f"{name}-{digest}")

    def finish(
        self,
        result: Result,
        files: Sequence[Path],
        comparison: ProbeComparison | None = None,
        selectivity: tuple[Selectivity, ...] = (),
    ) -> Probing[Result]:
        """Record that the probing is finished and return it; remove its stores unless ``keep_stores`` is set."""
        write_record(self.folder / _RECORD, self.request, **self._record, finished=True)
        stores = sorted({Path(path) for path in self._record["stores"].values() if Path(path).is_dir()})
        if not self.options.keep_stores:
            for path in stores:
                remove_store(path, wait=self.options.wait)
            if self.stores_folder.is_dir() and not any(self.stores_folder.iterdir()):
                self.stores_folder.rmdir()
            stores = []
        n_bytes = sum(store_info(path).n_bytes for path in stores)
        return Probing(self.folder, result, tuple(files), comparison, selectivity, tuple(stores), n_bytes)


def open_workspace(model: Any, out: str | os.PathLike[str], options: ProbingOptions) -> Workspace:
    """Load the model, with random weights if ``random_init`` is set. Nothing is written."""
    folder = as_path(out, "out")
    stores_folder = folder / "stores" if options.stores is None else as_path(options.stores, "stores")
    encoder = load_encoder(model, **options.loading())
    record: dict[str, Any] = {**encoder.record(), "random_init": options.random_init}
    if options.random_init:
        record["init_seed"] = options.init_seed
        encoder = encoder if isinstance(model, str | os.PathLike) else encoder.copied()
        reinitialise_all(encoder.module, seed=options.init_seed)
        name = f"{encoder.name} (random weights, seed {options.init_seed})"
        changed = wrap(encoder.module, encoder.tokenizer, name=name, revision=encoder.revision)
        encoder = changed if encoder.adapter is None else changed.with_adapter(encoder.adapter)
    return Workspace(encoder, record, folder, stores_folder, options)
