"""The JSON files of a store: the plan (written first), one record per shard, and the manifest (written last).

Each is a frozen dataclass. Reading one checks every count, size and name against the plan, so that the rest of the
package can rely on them.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core import files, json_files
from ..core.errors import CorruptStoreError, OptionError, StoreError
from ..core.outputs import CHECKSUMS
from .columns import ROW_BYTES
from .layout import DTYPES, FORMAT, MANIFEST, PAGE, PLAN, VERSION, is_layer_name, journal_parts

OVERFLOW = ("upgrade", "error")
MAX_LAYERS, MAX_SHARDS = 4096, 100_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Plan:
    """What will be stored. It is written before anything else, and its digest identifies the store."""

    user: dict[str, Any]
    layers: dict[str, int]
    shard_rows: tuple[int, ...]
    dtype: str
    overflow: str
    checksum: str
    digest: str = field(default="", compare=False)

    @property
    def n_rows(self) -> int:
        return sum(self.shard_rows)

    @classmethod
    def make(
        cls, user: Any, layers: Any, shard_rows: Any, *, dtype: str, overflow: str, checksum: str
    ) -> tuple[Plan, bytes]:
        """Return a plan and the bytes of its file. Raises OptionError if it could not be stored or read back."""
        plan = cls(user, dict(layers), tuple(shard_rows), dtype, overflow, checksum)
        problem = plan.problem()
        if problem:
            raise OptionError(f"The plan of a store must be valid: {problem}.")
        try:
            json_files.check_writable(user, "plan", depth=2)
        except (ValueError, TypeError) as error:
            raise OptionError(
                "plan must be a JSON object of strings, finite numbers, lists and objects with string keys: "
                f"{error}. Convert it first, e.g. int(x), float(x), str(path)."
            ) from error
        data = json_files.dump(plan.body())
        if len(data) > json_files.MAX_BYTES:
            raise OptionError(
                f"plan must take at most {json_files.MAX_BYTES} bytes: got {len(data)}. Store a digest instead."
            )
        return cls.from_bytes(data, "plan.json"), data

    def body(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "plan": self.user,
            "layers": [{"name": name, "width": width} for name, width in self.layers.items()],
            "shard_rows": list(self.shard_rows),
            "dtype": self.dtype,
            "overflow": self.overflow,
            "checksum": self.checksum,
        }

    @classmethod
    def read(cls, root: Path) -> Plan:
        return cls.from_bytes(files.read_small_file(root, PLAN), f"plan.json of {root}")

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Plan:
        body, digest = json_files.load(data, where)
        _check_version(body, where)
        names = {"format": str, "version": int, "plan": dict, "layers": list, "shard_rows": list}
        _check_fields(body, names | {"dtype": str, "overflow": str, "checksum": str}, where)
        for layer in body["layers"]:
            _check_fields(layer, {"name": str, "width": int}, f"a layer of {where}")
        layers = {layer["name"]: layer["width"] for layer in body["layers"]}
        rest = (body["dtype"], body["overflow"], body["checksum"])
        plan = cls(body["plan"], layers, tuple(body["shard_rows"]), *rest, digest)
        problem = plan.problem()
        if problem or len(layers) != len(body["layers"]):
            raise CorruptStoreError(f"{where} must be a valid plan: {problem or 'two layers have the same name'}.")
        return plan

    def problem(self) -> str | None:
        """Return what is wrong with this plan, as text, or None."""
        if not isinstance(self.user, dict):
            return f"plan must be a dict: got {type(self.user).__name__}"
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            return f"it must have 1 to {MAX_LAYERS} layers: got {len(self.layers)}"
        for name, width in self.layers.items():
            if not isinstance(name, str) or not is_layer_name(name):
                return f"a layer's name must be 1 to 200 of A-Za-z0-9._- and not start with . or -: got {name!r}"
            if not _is_count(width) or width < 1:
                return f"the width of layer {name} must be an integer of at least 1: got {width!r}"
        if len(self.shard_rows) > MAX_SHARDS:
            return f"it must have at most {MAX_SHARDS} shards: got {len(self.shard_rows)}; make them larger"
        wrong = next((rows for rows in self.shard_rows if not _is_count(rows)), None)
        if wrong is not None:
            return f"the rows of a shard must be an integer of at least 0: got {wrong!r}"
        if self.n_rows * max(max(self.layers.values()) * 4, ROW_BYTES) > json_files.MAX_INT:
            return f"{self.n_rows} rows of such layers are more than 2^53 bytes"
        for name, value, choices in (
            ("dtype", self.dtype, DTYPES),
            ("overflow", self.overflow, OVERFLOW),
            ("checksum", self.checksum, CHECKSUMS),
        ):
            if value not in choices:
                return f"{name} must be one of {', '.join(choices)}: got {value!r}"
        return None


@dataclass(frozen=True)
class FileRecord:
    """Size and checksum of a file, header included."""

    n_bytes: int
    checksum: str


@dataclass(frozen=True)
class LayerRecord:
    """One layer's shard file: its type, size and checksum, and statistics of its values."""

    dtype: str
    n_bytes: int
    checksum: str
    nonfinite: int
    absmax: float
    shift: str
    """Mean of the first 4096 rows, float32 little-endian, in base64."""

    def shift_vector(self, width: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.shift), dtype="<f4", count=width)


@dataclass(frozen=True)
class ShardRecord:
    """One committed shard. Its record is in the journal if and only if all its files are complete and on the disk."""

    shard: int
    rows: int
    plan: str
    tokens: FileRecord
    layers: dict[str, LayerRecord]

    def to_bytes(self) -> bytes:
        return json_files.dump(dataclasses.asdict(self))

    @classmethod
    def read(cls, root: Path, plan: Plan, shard: int) -> tuple[ShardRecord, str]:
        """Return the record and its digest. Raises CorruptStoreError unless it is that of ``shard`` in ``plan``."""
        parts = journal_parts(shard)
        where = f"{files.file_name(parts)} of {root}"
        data = files.read_small_file(root, parts)
        body, digest = json_files.load(data, where)
        _check_fields(body, {"shard": int, "rows": int, "plan": str, "tokens": dict, "layers": dict}, where)
        rows = plan.shard_rows[shard]
        _check_equal(body, {"shard": shard, "rows": rows, "plan": plan.digest}, where)
        tokens = _file_record(body["tokens"], f"tokens in {where}")
        _check_equal(body["tokens"], {"n_bytes": PAGE + rows * ROW_BYTES}, f"tokens in {where}")
        if list(body["layers"]) != sorted(plan.layers):
            raise CorruptStoreError(f"{where} must list the layers of the plan: found {list(body['layers'])[:20]}.")
        layers = {
            name: _layer_record(body["layers"][name], plan, name, rows, f"layer {name} in {where}")
            for name in plan.layers
        }
        return cls(shard, rows, plan.digest, tokens, layers), digest


@dataclass(frozen=True)
class Manifest:
    """The last file. Its digest, the root digest, covers the plan and the records and thereby every byte."""

    plan: str
    n_rows: int
    records: tuple[str, ...]
    rows_digest: str
    docs: FileRecord | None

    def to_bytes(self) -> bytes:
        return json_files.dump({"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, root: Path, plan: Plan) -> tuple[Manifest, str]:
        """Return the manifest and its digest, the root digest."""
        where = f"manifest.json of {root}"
        body, digest = json_files.load(files.read_small_file(root, MANIFEST), where)
        _check_version(body, where)
        names = {
            "format": str,
            "version": int,
            "plan": str,
            "n_rows": int,
            "records": list,
            "rows_digest": str,
        }
        _check_fields(body, names | {"docs": (dict, type(None))}, where)
        _check_equal(body, {"plan": plan.digest, "n_rows": plan.n_rows}, where)
        if len(body["records"]) != len(plan.shard_rows) or not all(map(_is_digest, body["records"])):
            raise CorruptStoreError(f"{where} must hold a digest for each of {len(plan.shard_rows)} shards.")
        if not _is_digest(body["rows_digest"]):
            raise CorruptStoreError(
                f"'rows_digest' of {where} must be a SHA-256 digest: {body['rows_digest'][:64]!r}. The file was "
                "changed; restore it from a copy."
            )
        docs = None if body["docs"] is None else _file_record(body["docs"], f"docs in {where}")
        return cls(plan.digest, plan.n_rows, tuple(body["records"]), body["rows_digest"], docs), digest


def _layer_record(body: Any, plan: Plan, name: str, rows: int, where: str) -> LayerRecord:
    names = {"dtype": str, "n_bytes": int, "checksum": str, "nonfinite": int, "absmax": float, "shift": str}
    _check_fields(body, names, where)
    allowed = {plan.dtype, "float32"} if plan.overflow == "upgrade" else {plan.dtype}
    if body["dtype"] not in allowed:
        raise CorruptStoreError(f"{where} must be stored as {' or '.join(sorted(allowed))}: found {body['dtype']!r}.")
    width = plan.layers[name]
    size = PAGE + rows * width * DTYPES[body["dtype"]].itemsize
    _check_equal(body, {"n_bytes": size, "nonfinite": 0}, where)
    record = LayerRecord(**body)
    try:
        shift = np.frombuffer(base64.b64decode(record.shift, validate=True), dtype="<f4")
    except ValueError as error:
        raise CorruptStoreError(f"{where} must hold a shift in base64: {error}.") from error
    if shift.shape != (width,) or not record.absmax >= 0.0 or not (np.abs(shift) <= record.absmax * 1.001).all():
        raise CorruptStoreError(f"{where} must hold a shift of {width} values within its absmax, {record.absmax}.")
    return record


def _file_record(body: Any, where: str) -> FileRecord:
    _check_fields(body, {"n_bytes": int, "checksum": str}, where)
    return FileRecord(**body)


def _check_version(body: dict[str, Any], where: str) -> None:
    if body.get("format") != FORMAT:
        raise CorruptStoreError(
            f"{where} must have format {FORMAT!r}: found {body.get('format')!r}. It is not a store."
        )
    if body.get("version") != VERSION:
        raise StoreError(
            f"This pyrepsim reads stores of version {VERSION}: {where} has {body.get('version')!r}. Upgrade pyrepsim."
        )


def _check_fields(body: Any, names: dict[str, Any], where: str) -> None:
    """Check for exactly these keys of exactly these types. Integers are counts: at least 0, and not bool."""
    if not isinstance(body, dict) or body.keys() != names.keys():
        actual = sorted(body) if isinstance(body, dict) else type(body).__name__
        raise CorruptStoreError(f"{where} must have the keys {', '.join(names)}: found {str(actual)[:200]}.")
    for name, kind in names.items():
        value = body[name]
        if not (_is_count(value) if kind is int else isinstance(value, kind)):
            raise CorruptStoreError(
                f"{name!r} of {where} must be {_TYPE_NAMES.get(kind, 'null or object')}: {str(value)[:64]!r}."
            )


def _check_equal(body: dict[str, Any], values: dict[str, Any], where: str) -> None:
    for name, expected in values.items():
        if body[name] != expected:
            raise CorruptStoreError(
                f"{name!r} of {where} must be {expected!r}, as in the plan: found {body[name]!r}. The file "
                "was changed or belongs to another store; restore it from a copy."
            )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


_TYPE_NAMES = {
    int: "a whole number",
    str: "a string",
    dict: "an object",
    list: "a list",
    float: "a number with a point",
}
