"""What a comparison returns: a `Score` for each measure and layer pair, in `Scores`, a long table."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from ..core.errors import LayerError, MissingExtraError, OptionError, StoreError
from ..core.outputs import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Score", "Scores"]

# A measure's name, or a Measure, which stands on a higher floor: its str() is its name.
MeasureLike: TypeAlias = Any


@dataclass(frozen=True, repr=False)
class Score:
    """The value that a measure gave to a pair of representations, and where it came from.

    A score owns its memory: arrays in `details` are copied and read-only. `float(score)` is its value.
    """

    value: float
    """The measure's value, float64."""
    measure: str
    """The measure as one would write it, with its non-default options: `SVCCA(components=20)`."""
    n_samples: int
    """Rows that entered the score."""
    interval: tuple[float, float] | None = None
    """Lower and upper end of an interval for the value, where one was asked for."""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the measure found on its way: ranks, correlations, condition numbers."""
    layer_x: str | None = None
    """Layer of the first side, named as in the model; None for plain arrays."""
    layer_y: str | None = None
    """Layer of the second side."""
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Models, store digests, backend, precision, version. `model_x` and `model_y` name the sides."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "n_samples", int(self.n_samples))
        if self.interval is not None:
            low, high = self.interval
            object.__setattr__(self, "interval", (float(low), float(high)))
        object.__setattr__(self, "details", _owned(self.details))
        object.__setattr__(self, "provenance", _owned(self.provenance))

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        pair = "" if self.layer_x is None else f", {self.layer_x} ~ {self.layer_y}"
        return f"Score({self.value:.6g}{interval}, {self.measure}{pair}, n={self.n_samples:,})"

    def _repr_html_(self) -> str:
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        pair = "" if self.layer_x is None else f", {self.layer_x} ~ {self.layer_y}"
        said = escape(f"{interval} {self.measure}{pair}, n = {self.n_samples:,}")
        return f"<span><b>{self.value:.6g}</b>{said}</span>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only mapping views can't be pickled; plain dicts can, and are frozen again on the way in.
        return Score, (self.value, self.measure, self.n_samples, self.interval, _plain(self.details),
                       self.layer_x, self.layer_y, _plain(self.provenance))  # fmt: skip


class Scores(Sequence[Score]):
    """Scores in the order of computation. Immutable: iterate, index, `select`, print, plot, save."""

    def __init__(self, scores: Iterable[Score] = ()) -> None:
        self._scores = tuple(scores)
        for score in self._scores:
            if not isinstance(score, Score):
                kind = type(score).__name__
                raise OptionError(f"Scores holds Score objects: got {kind}. Pass an iterable of Score.")

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> Scores: ...
    def __getitem__(self, index: int | slice) -> Score | Scores:
        return Scores(self._scores[index]) if isinstance(index, slice) else self._scores[index]

    def __add__(self, other: Scores) -> Scores:
        return Scores((*self, *other)) if isinstance(other, Scores) else NotImplemented

    def __iter__(self) -> Iterator[Score]:
        return iter(self._scores)

    def __eq__(self, other: object) -> bool:
        return self._scores == other._scores if isinstance(other, Scores) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._scores)

    def __repr__(self) -> str:
        measures = ", ".join(self.measures)
        return f"Scores({len(self)} scores; {len(self.layers_x)} x {len(self.layers_y)} layers; {measures})"

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures, in order of first appearance."""
        return tuple(dict.fromkeys(score.measure for score in self))

    @property
    def layers_x(self) -> tuple[str | None, ...]:
        """Layers of the first side, in order of first appearance."""
        return tuple(dict.fromkeys(score.layer_x for score in self))

    @property
    def layers_y(self) -> tuple[str | None, ...]:
        """Layers of the second side, in order of first appearance."""
        return tuple(dict.fromkeys(score.layer_y for score in self))

    def select(
        self,
        *,
        measure: MeasureLike | Iterable[MeasureLike] | None = None,
        layer_x: str | Iterable[str] | None = None,
        layer_y: str | Iterable[str] | None = None,
    ) -> Scores:
        """Return the scores with these measures and layers.

        A measure is named in full (`"SVCCA(components=20)"`), by its family (`"SVCCA"`, any options), or is
        itself given (`SVCCA(components=20)`, these options).
        Raises OptionError or LayerError for a name that no score has.
        """
        families = {name: name.partition("(")[0] for name in self.measures}
        kept = list(self)
        if measure is not None:
            wanted = set()
            for item in _several(measure):
                name = str(item)
                exact = name in families or not isinstance(item, str)
                found = {full for full, family in families.items() if name == (full if exact else family)}
                if not found:
                    raise OptionError(f"A measure must be one of {', '.join(families)}: got {name!r}.")
                wanted |= found
            kept = [score for score in kept if score.measure in wanted]
        for side, layers, have in (("layer_x", layer_x, self.layers_x), ("layer_y", layer_y, self.layers_y)):
            if layers is None:
                continue
            names = set(_several(layers))
            if missing := names - set(have):
                known, got = ", ".join(map(str, have)), ", ".join(sorted(map(str, missing)))
                raise LayerError(f"{side} must be one of {known}: got {got}.")
            kept = [score for score in kept if getattr(score, side) in names]
        return Scores(kept)

    def matrix(
        self, measure: MeasureLike | None = None
    ) -> tuple[tuple[str | None, ...], tuple[str | None, ...], np.ndarray]:
        """Return `(layers_x, layers_y, values)` of one measure: float64, NaN where a pair has no score.

        `measure` may be left out when there is only one. Raises OptionError when a pair has two scores
        (of two model pairs, say): select before.
        """
        chosen = self if measure is None else self.select(measure=measure)
        if len(chosen.measures) != 1:
            have = ", ".join(chosen.measures) or "none"
            raise OptionError(f"A matrix shows one measure: got {have}. Name one with measure=.")
        rows, columns = chosen.layers_x, chosen.layers_y
        values = np.full((len(rows), len(columns)), np.nan)
        seen = set()
        for score in chosen:
            pair = (score.layer_x, score.layer_y)
            if pair in seen:
                raise OptionError(f"A matrix has one score a layer pair: {pair} has several. Select first.")
            seen.add(pair)
            values[rows.index(pair[0]), columns.index(pair[1])] = score.value
        return rows, columns, values

    def table(self) -> str:
        """Return the scores as text: layers down, measures across for one-to-one layers; else a row each."""
        from .tables import text_table

        return text_table(self)

    def _repr_html_(self) -> str:
        from .tables import html_table

        return html_table(self)

    def plot(self, path: str | os.PathLike[str] | None = None, measure: MeasureLike | None = None) -> Figure:
        """Draw layer curves, or layer x layer heat maps when there are off-diagonal pairs; return the figure.

        The file name's ending (.svg, .png, .pdf) chooses the format. Needs `pip install "pyrepsim[plot]"`.
        """
        from .score_figures import plot

        return plot(self, path=path, measure=measure)

    def html(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one self-contained page (tables, figures, provenance) and return its path."""
        from .page import page, write_html

        return write_html(page(self, title=title), path)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one flat dict a score: the score's own columns, then every scalar of its provenance.

        A nested provenance key is joined by dots. Arrays and `details` are left to `to_jsonl`.
        """
        rows = []
        for score in self:
            low, high = score.interval or (None, None)
            own = {"measure": score.measure, "layer_x": score.layer_x, "layer_y": score.layer_y}
            own |= {"value": score.value, "ci_low": low, "ci_high": high, "n_samples": score.n_samples}
            rows.append(own | {key: item for key, item in _flat(score.provenance) if key not in own})
        return rows

    def to_frame(self) -> pd.DataFrame:
        """Return the long table as a pandas DataFrame, one row a score."""
        try:
            import pandas as pd
        except ImportError as error:
            message = "to_frame() needs pandas: pip install pandas, or use to_records()."
            raise MissingExtraError(message) from error
        return pd.DataFrame.from_records(self.to_records())

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `to_records()` as CSV. Floats keep all their digits."""
        records = self.to_records()
        columns = dict.fromkeys(key for record in records for key in record)
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(records)
        return Path(path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the long table as Parquet. Needs pandas and pyarrow."""
        frame = self.to_frame()
        try:
            import pyarrow as pa  # noqa: F401 (pandas asks for it later, and less clearly)
        except ImportError as error:
            message = "to_parquet() needs pyarrow: pip install pyarrow, or use to_csv()."
            raise MissingExtraError(message) from error
        with replacing(path) as temporary:
            frame.to_parquet(temporary, index=False)
        return Path(path)

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write everything, details and provenance too, a JSON object a line; `from_jsonl` reads it back."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for score in self:
                json.dump(_jsonable(vars(score)), file, allow_nan=False, ensure_ascii=False)
                file.write("\n")
        return Path(path)

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> Scores:
        """Read scores that `to_jsonl` wrote. Lists of numbers in `details` come back as float64 arrays.

        Raises StoreError if the file cannot be read, OptionError if it holds something else.
        """
        scores = []
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"Scores are read from a file: {path} cannot be read ({error.strerror or error}). Check the path, or "
                "write one with Scores.to_jsonl."
            ) from error
        except UnicodeDecodeError as error:
            raise OptionError(
                f"A scores file is UTF-8: {path} is not ({error}). Write it with Scores.to_jsonl."
            ) from error
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                row = _unjson(json.loads(line))
                row["details"] = {key: _array_if_numbers(item) for key, item in row["details"].items()}
                scores.append(Score(**row))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                fact = f"line {number} of {path} is not one ({error})"
                message = f"A scores file has one score a line: {fact}. Write it with Scores.to_jsonl."
                raise OptionError(message) from error
        return cls(scores)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _owned(value: Any) -> Any:
    """Copy arrays and containers, and make the copies read-only."""
    if isinstance(value, np.ndarray):
        copy = value.copy()
        copy.setflags(write=False)
        return copy
    if isinstance(value, Mapping):
        return MappingProxyType({key: _owned(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_owned(item) for item in value)
    return value


def _plain(value: Any) -> Any:
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in mapping.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        elif item is None or isinstance(item, str | bool | int | float | np.generic):
            yield prefix + key, item.item() if isinstance(item, np.generic) else item


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}  # JSON has no word for infinity; other readers refuse Python's
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _unjson(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"float"}:
        return float(value["float"])
    if isinstance(value, dict):
        return {key: _unjson(item) for key, item in value.items()}
    return [_unjson(item) for item in value] if isinstance(value, list) else value


def _array_if_numbers(value: Any) -> Any:
    if isinstance(value, list) and value:
        array = np.asarray(value, dtype=object)
        if all(isinstance(item, int | float) and not isinstance(item, bool) for item in array.flat):
            return array.astype(np.float64)
    return value
