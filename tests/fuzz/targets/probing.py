"""Results of edge probing. The first byte chooses: a whole file, its JSON part, or a file without its digest."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from pyrepsim.probing.edge import EdgeResult, Member
from pyrepsim.probing.edge.result import ScoreRecord
from tests.fuzz.running import tolerate, workplace


def _valid() -> EdgeResult:
    record: ScoreRecord = {
        "task": "pos", "member": "mix.0", "seed": 0, "split": "dev", "part": "all", "f1": 0.5, "low": 0.4, "high": 0.6,
        "precision": 0.5, "recall": 0.5, "true_positives": 1, "predicted": 2, "gold": 2, "n_targets": 2, "bits": 1.0,
        "best_step": 1,
    }  # fmt: skip
    member = Member("mix.0", ("embeddings",), 0, True)
    weights = ({"member": "mix.0", "seed": 0, "weights": [1.0], "gamma": 1.0, "centre_of_gravity": 0.0}
               | {"divergence": 0.0, "norms": [1.0]},)  # fmt: skip
    return EdgeResult(
        task="pos", members=(member,), layers=("embeddings",), records=(record,), weights=weights,
        norms={"embeddings": 1.0}, sentence_counts={"dev": np.ones((1, 2, 3), np.int64)},
        record_index={"dev": np.arange(2)}, findings={"dev": ()}, history=({"step": 1},), request={"seed": 0},
        documents={"dev": np.arange(2)},
    )  # fmt: skip


def examples() -> list[bytes]:
    path = _valid().save(workplace() / "valid.npz")
    buffer = io.BytesIO()
    _valid().write(buffer)
    buffer.seek(0)
    with np.load(buffer) as file:
        text = str(file["json"]).encode()
    return [b"\0" + path.read_bytes(), b"\1" + text, b"\2" + buffer.getvalue()]


def read(data: bytes, folder: Path) -> None:
    path = folder / "edge.npz"
    if data[:1] in (b"\1", b"\2"):
        buffer = io.BytesIO(data[1:])
        if data[:1] == b"\1":
            result, buffer = _valid(), io.BytesIO()
            arrays = {f"{name}.dev": vars(result)[name]["dev"] for name in ("sentence_counts", "record_index")}
            np.savez(buffer, json=np.array(data[1:].decode("utf-8", "replace")), **arrays)
            buffer.seek(0)
        found = tolerate(EdgeResult.read, buffer)
    else:
        path.write_bytes(data[1:])
        found = tolerate(EdgeResult.load, path)
    if found is not None:
        repr(found)
        tolerate(found.table)
        tolerate(lambda: json.dumps(found.request))
