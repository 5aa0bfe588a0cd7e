"""`pyrepsim cache`: list stores, describe one, check its checksums, convert it for other tools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..core.errors import StoreError
from ..core.memory import format_bytes
from ..core.text import printable

if TYPE_CHECKING:
    from ..store import StoreInfo
    from .transcript import Transcript

__all__ = ["Export", "Info", "Ls", "Verify"]


@dataclass(frozen=True)
class Ls:
    """List the stores below a folder."""

    folder: str
    """Where to look."""

    def run(self, call: Transcript) -> int:
        stores = call("stores", "store.list_stores", self.folder)
        for store in stores:
            size = format_bytes(store.n_bytes)
            contents = f"{len(store.layers)} layers x {store.n_rows:,} rows, {store.dtype}" if store.layers else ""
            print(f"{printable(store.name):<32}  {store.state:<16}  {size:>12}  {contents}")
        if not stores:
            raise StoreError(f"A listing needs stores: there are none below {self.folder}. Name another folder.")
        return 0


@dataclass(frozen=True)
class Info:
    """Print the layers, rows and plan of a store."""

    path: str
    """The store."""

    def run(self, call: Transcript) -> int:
        info = call("info", "store.store_info", self.path)
        if info.sealed:
            store = call("store", "open_store", self.path)
            print(f"{self.path}: {store.n_rows:,} rows, {format_bytes(store.n_bytes)}, {store.dtype}")
            print(f"root digest {store.digest}\nrow identity {store.rows_digest}")
        else:
            size = f"when complete: {info.n_rows:,} rows, {format_bytes(info.n_bytes)}, {info.dtype}"
            print(f"{self.path}, {size}\n{_progress(info)}")
        for name, width in info.widths.items():
            print(f"  {name:<16}{width:>6} features")
        for line in json.dumps(info.plan, indent=2, ensure_ascii=False).split("\n"):
            print(printable(line))
        return 0


@dataclass(frozen=True)
class Verify:
    """Read every byte of a store and compare it with its checksums. The exit status is 1 if one differs."""

    path: str
    """The store, finished or not."""

    def run(self, call: Transcript) -> int:
        problems = call("problems", "store.verify", self.path, collect=True)
        if problems:
            for problem in problems:
                print(printable(str(problem)))
            print(f"{self.path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
            return 1
        info = call("info", "store.store_info", self.path)
        if info.sealed:
            print(f"{self.path}: all checksums agree")
        else:
            print(f"{self.path}: all checksums of committed shards agree. {_progress(info)}")
        return 0


@dataclass(frozen=True)
class Export:
    """Write a store in a format that other tools read."""

    path: str
    """The store."""
    out: str
    """A new folder for the files."""
    format: Literal["npy", "safetensors", "arrow"] = "npy"
    """npy and safetensors: a file a layer; arrow: one file that `datasets` and pandas open."""
    wait: float | None = None
    """Seconds to wait for another process that writes to the folder; by default it is refused at once."""

    def run(self, call: Transcript) -> int:
        for file in call("files", "store.export", self.path, self.out, format=self.format, wait=self.wait):
            print(file)
        return 0


def _progress(info: StoreInfo) -> str:
    done = f"{info.committed} of {info.n_shards} shards committed, not sealed"
    return f"{done}: run the same extraction again to resume"
