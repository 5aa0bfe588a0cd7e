"""`pyrepsim cache`: find stores, look inside, check their bytes, hand them to other tools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .options import layer_option

if TYPE_CHECKING:
    from .transcript import Transcript

__all__ = ["Export", "Info", "Ls", "Verify"]


@dataclass(frozen=True)
class Ls:
    """List the stores below a folder."""

    folder: str = "."
    """Where to look."""

    def run(self, say: Transcript) -> None:
        import pyrepsim as rs

        for path in _stores(Path(self.folder)):
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            try:
                store = rs.open_store(path)
                what = f"{len(store.layers):>3} layers  {store.n_rows:>12,} rows  {store.dtype}"
            except StoreError as error:
                what = f"not readable: {str(error).partition(': ')[2] or error}"
            print(f"{size / 1e9:9.3f} GB  {what}  {path}")


@dataclass(frozen=True)
class Info:
    """Say what a store holds: layers, rows, and the plan it was made under."""

    store: str
    """The store."""

    def run(self, say: Transcript) -> None:
        import json

        store = say("store", "open_store", self.store)
        print(f"{store.path}\n{store.n_rows:,} rows, {store.dtype}, digest {store.digest}")
        for name in store.layers:
            print(f"  {name:<16}{store[name].shape[1]:>6} features")
        print(json.dumps(store.plan, indent=2, ensure_ascii=False))


@dataclass(frozen=True)
class Verify:
    """Read every byte of a store and compare it with its checksums."""

    store: str
    """The store."""

    def run(self, say: Transcript) -> None:
        store = say("store", "open_store", self.store)
        store.verify()
        print(f"{store.path}: every byte is as it was written")


@dataclass(frozen=True)
class Export:
    """Write layers as .npy files, one a layer, for tools that read arrays."""

    store: str
    """The store."""
    out: str
    """Folder for the files."""
    layers: str = "all"
    """all, or names with commas between."""

    def run(self, say: Transcript) -> None:
        import numpy as np

        store = say("store", "open_store", self.store)
        chosen = layer_option(self.layers)
        Path(self.out).mkdir(parents=True, exist_ok=True)
        for name in store.layers if chosen == "all" else chosen:
            layer = store[name]
            # NumPy files have no word for bfloat16; float32 holds each of its values exactly.
            dtype = np.float32 if store.dtype == "bfloat16" else store.dtype
            path = Path(self.out, f"{name}.npy")
            array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=layer.shape)
            start = 0
            for chunk in layer.chunks():
                array[start : start + len(chunk)] = chunk
                start += len(chunk)
            array.flush()
            print(path)


def _stores(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise StoreError(
            f"A folder to list must exist: {folder} does not. Name the folder that holds stores."
        )
    for plan in sorted(folder.rglob("plan.json")):
        yield plan.parent
