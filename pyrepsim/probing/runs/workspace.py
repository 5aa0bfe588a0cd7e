"""Where a probing happens: the model, one folder for results, and stores that are made once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import xxhash

from ...core.errors import OptionError, StoreError
from ...core.outputs import replacing
from ...data import Corpus, read_texts
from ...extraction import extract
from ...models import Encoder, load_encoder, wrap_encoder
from ...models.layer_changes import reinitialise_all
from ...store import ActivationStore, remove_store, store_info
from ...version import __version__
from .corpora import Part

__all__ = ["ProbingOptions", "Workspace", "open_workspace"]

_RECORD = "probing.json"
_FIGURES = ("svg", "png", "pdf")


class ProbingOptions(TypedDict, total=False):
    """What every probing takes; `open_workspace` has the defaults and says what they mean."""

    random_init: bool
    init_seed: int
    revision: str | None
    device: str
    dtype: str
    long: str
    max_length: int | None
    batch_tokens: int
    stores: str | os.PathLike[str] | None
    keep_stores: bool
    figures: Sequence[str]
    overwrite: bool
    progress: bool | None


@dataclass(eq=False)
class Workspace:
    """Made by `open_workspace`.

    Attributes
    ----------
    encoder, origin : the model, and what the record says of it.
    folder, shelf : where results and stores go.
    how : options of the extraction.
    used : the store of each part, once extracted; `kept`, those that stay at the end.
    """

    encoder: Encoder
    folder: Path
    shelf: Path
    origin: Mapping[str, Any]
    how: Mapping[str, Any]
    keep_stores: bool
    figures: tuple[str, ...]
    overwrite: bool
    progress: bool | None
    used: dict[str, ActivationStore] = field(default_factory=dict)
    kept: tuple[Path, ...] = ()
    _record: dict[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> Path:
        """Folder of the state of training."""
        return self.folder / "training"

    @property
    def device(self) -> str:
        return str(self.encoder.device)

    def begin(self, kind: str, parts: Mapping[str, Part], **settings: Any) -> bool:
        """Whether this probing is finished; what differs from it in the folder is refused, or removed if so wished."""
        request = {"kind": kind, "model": self.origin, "extraction": self.how, "version": __version__}
        request |= {"data": {name: part.digest for name, part in parts.items()}, **settings}
        request = json.loads(json.dumps(request, default=str))
        self._record = {"request": request, "read": {name: dict(part.counts) for name, part in parts.items()}}
        self._record["stores"] = {}
        known = None if self.overwrite else _read(self.folder / _RECORD)
        if self.overwrite and (self.folder / _RECORD).exists():
            shutil.rmtree(self.training, ignore_errors=True)
        if known is None:
            self._write(finished=False)
            return False
        if known["request"] != request:
            keys = [key for key in request if known["request"].get(key) != request[key]]
            raise StoreError(
                f"A folder holds one probing: {self.folder} has another ({', '.join(keys) or 'settings'} differ). "
                "Choose another folder, or replace what is there: overwrite=True, or --overwrite on the command line."
            )
        self._record["stores"] = known["stores"]
        return bool(known["finished"])

    def extract(self, parts: Mapping[str, Part], *, words: str | None = None) -> dict[str, ActivationStore]:
        """The store of each part, made now unless it is there; parts with the same texts share one."""
        fresh: set[Path] = set()
        for name, part in parts.items():
            corpus = read_texts(list(part.texts))
            path = self.path(name, corpus, words)
            again = self.overwrite and path not in fresh
            store = extract(
                self.encoder,
                corpus,
                path,
                words=words,
                worker="0/1",
                overwrite=again,
                progress=self.progress,
                **self.how,
            )
            if store is None:  # one worker of one seals what it writes
                raise StoreError(f"A probing reads whole stores: {path} is not. Start it again.")
            fresh.add(path)
            self.used[name] = store
        return self.used

    def path(self, name: str, corpus: Corpus, words: str | None) -> Path:
        """Folder of a store. Its name has a digest of all that decides its contents, so that probings share stores."""
        decides = {**self.encoder.record(), **self.how, "words": words, "texts": corpus.fingerprint}
        decides |= {"tokenizer": self.encoder.tokenizer_digest, "device": self.encoder.device.type}
        digest = xxhash.xxh3_128_hexdigest(json.dumps(decides, sort_keys=True).encode())[:16]
        return next(self.shelf.glob(f"*-{digest}"), self.shelf / f"{name}-{digest}")

    def finish(self) -> int:
        """Write down that all is done and remove stores that are not to be kept; the bytes that the others take."""
        if self.used:
            self._record["stores"] = {name: str(store.path) for name, store in self.used.items()}
        self._write(finished=True)
        paths = sorted({Path(path) for path in self._record["stores"].values() if Path(path).is_dir()})
        if self.keep_stores:
            self.kept = tuple(paths)
            return sum(store_info(path).n_bytes for path in paths)
        for path in paths:
            remove_store(path)
        if self.shelf.is_dir() and not any(self.shelf.iterdir()):
            self.shelf.rmdir()
        return 0

    def _write(self, *, finished: bool) -> None:
        record = {**self._record, "finished": finished}
        with replacing(self.folder / _RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def open_workspace(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    random_init: bool = False,
    init_seed: int = 0,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "float16",
    long: str = "window",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    stores: str | os.PathLike[str] | None = None,
    keep_stores: bool = True,
    figures: Sequence[str] = ("svg",),
    overwrite: bool = False,
    progress: bool | None = None,
) -> Workspace:
    """Load the model, and take the folder.

    Parameters
    ----------
    random_init, init_seed
        Probe the same architecture with all weights drawn anew from this seed: the control.
    revision, device, dtype, long, max_length, batch_tokens
        As in `pyrepsim.extract`; the probes train on the same device.
    stores : path, optional
        Folder for stores, which probings of the same texts share. Default: ``stores`` in `out`.
    keep_stores
        Whether stores stay once the results are written.
    figures
        Endings of the figures: "svg", "png", "pdf".
    overwrite
        Extract and train anew, whatever is there.
    progress
        Show progress bars; None shows them on a terminal only.
    """
    for ending in figures:
        if ending not in _FIGURES:
            raise OptionError(f"Figures end in {', '.join(_FIGURES)}: got {ending!r}.")
    if isinstance(init_seed, bool) or not isinstance(init_seed, int) or init_seed < 0:
        raise OptionError(f"init_seed must be a whole number of at least 0: got {init_seed!r}.")
    encoder = load_encoder(model, revision=revision, device=device)
    origin: dict[str, Any] = {**encoder.record(), "random_init": random_init}
    if random_init:
        origin["init_seed"] = init_seed
        reinitialise_all(encoder.module, seed=init_seed)
        name = f"{encoder.name} (random weights, seed {init_seed})"
        encoder = wrap_encoder(encoder.module, encoder.tokenizer, name=name, revision=encoder.revision)
    how = {"dtype": dtype, "long": long, "max_length": max_length, "batch_tokens": batch_tokens}
    folder = Path(out)
    shelf = folder / "stores" if stores is None else Path(stores)
    return Workspace(encoder, folder, shelf, origin, how, keep_stores, tuple(figures), overwrite, progress)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"request": dict(found["request"]), "finished": found["finished"], "stores": dict(found["stores"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The record of a probing must be whole: {path} is not ({error}). Remove it.") from error
