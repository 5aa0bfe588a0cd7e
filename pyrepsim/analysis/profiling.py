"""Profile of a representation: norms, anisotropy, effective dimensions and rogue features of each layer."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import DegenerateError, LayerError, OptionError
from ..core.patterns import expanded
from ..core.progress import progress_bar
from ..extraction.options import ForwardOptions, with_keywords_of
from ..moments import MomentsSet, Side
from ..results.tables import Records, TextTable
from ..store import ActivationStore, Representation
from ..store.columns import Tokens, tokens_name

__all__ = ["LayerProfile", "Profile", "profile"]

log = logging.getLogger("pyrepsim.analysis")

_CHUNK_ROWS = 8192
_ROGUE_THRESHOLD = 6.0


@dataclass(frozen=True)
class LayerProfile:
    """The geometry of one layer over n rows x in R^d, with mean m and scatter S (eigenvalues lambda)."""

    layer: str
    """Name of the layer; "X" for an array."""
    n_samples: int
    """Number of rows."""
    n_features: int
    """Number of features d."""
    mean_norm: float
    """Mean of |x|, in the units of the representation."""
    sd_norm: float
    """Standard deviation of |x| (with n - 1), in the units of the representation."""
    anisotropy: float
    """Mean cosine between two different rows, over all pairs, in [-1, 1] (Ethayarajh 2019)."""
    effective_rank: float
    """exp of the entropy of sqrt(lambda) / sum sqrt(lambda), in [1, rank] (Roy & Vetterli 2007).

    NaN if all rows are equal."""
    participation_ratio: float
    """(sum lambda)^2 / sum lambda^2, in [1, rank]. NaN if all rows are equal."""
    rank: int
    """Numerical rank of S; 0 if all rows are equal."""
    rogue_dimensions: tuple[int, ...]
    """Features whose |mean| or standard deviation exceeds the median over features by more than 6 robust deviations
    (1.4826 median absolute deviations, at least 0.01 of the median standard deviation): Timkey & van Schijndel 2021."""
    rogue_contribution: float
    """Contribution of the three features that contribute most to the anisotropy, divided by the sum of all absolute
    contributions: near 1 if a few features dominate, near 0 if none does."""


class Profile(Records, Sequence[LayerProfile]):
    """The profiles of the layers of a store, in order; index it by number or by name of the layer.

    Parameters
    ----------
    layers : iterable of LayerProfile
    """

    def __init__(self, layers: Iterable[LayerProfile]) -> None:
        self._layers = tuple(layers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            for layer in self._layers:
                if layer.layer == index:
                    return layer
            raise LayerError(f"a layer must be one of {', '.join(p.layer for p in self._layers)}: got {index!r}.")
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[LayerProfile]:
        return iter(self._layers)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict for each layer, with the fields of `LayerProfile`."""
        return [asdict(layer) for layer in self._layers]

    def table(self) -> str:
        """Return the profile as text, a row for each layer."""
        return self._text_table().text(rule=False)

    __str__ = table

    def __repr__(self) -> str:
        return f"Profile({len(self._layers)} layers)"

    def _repr_html_(self) -> str:
        return self._text_table().html()

    def _text_table(self) -> TextTable:
        geometry = ("mean |x|", "sd |x|", "anisotropy", "effective rank", "participation", "rank", "rogue")
        rows = []
        for p in self._layers:
            rogue = ", ".join(map(str, p.rogue_dimensions[:4])) + (", ..." if len(p.rogue_dimensions) > 4 else "")
            numbers = (f"{p.mean_norm:.3f}", f"{p.sd_norm:.3f}", f"{p.anisotropy:.4f}", f"{p.effective_rank:.1f}")
            dimensions = (f"{p.participation_ratio:.1f}", f"{p.rank} of {p.n_features}", rogue or "-")
            rows.append((p.layer, str(p.n_samples), *numbers, *dimensions))
        return TextTable(("layer", "rows", *geometry), tuple(rows))


@with_keywords_of(ForwardOptions)
def profile(
    store: Any,
    *,
    texts: Any = None,
    layers: Iterable[str] | None = None,
    tokens: Tokens = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Profile:
    """Profile the geometry of every layer of an activation store or of a model, of one layer, or of an array.

    Parameters
    ----------
    store : ActivationStore, Representation, or array-like of shape (n_samples, n_features); with `texts` a model
        Of a model, the float32 rows are in a temporary folder meanwhile.
    texts : optional
        Texts to run a model over, as in `extract`.
    layers : str or iterable of str, optional
        For a store or a model: the layers to profile, hook points, or patterns such as ``"layer.*.mlp"``. By default
        all; of a model all of ``Encoder.layers``.
    tokens : default "content"
        For a store or a model: the tokens to use, as in `compare`.
    backend, n_threads
        See `MomentsSet`.
    progress : bool, optional
        Whether to show a progress bar. None: on a terminal and in a notebook; lines in a log.
    words, rows, long, max_length, batch_tokens, special_tokens
        With `texts`, as in `extract`.
    revision, device, model_dtype, device_map, attention, quantization, adapter
        With `texts`, see `load_encoder`.

    Returns
    -------
    Profile
        One `LayerProfile` for each layer.

    Raises
    ------
    LayerError, OptionError
        If a layer does not exist, or an option does not apply.
    NonFiniteError
        If a value is NaN or infinite.
    DegenerateError
        If there are fewer than two rows, a row of zeros, or no layer whose rows vary.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((500, 8)) + 1
    >>> print(rs.profile(X).table())
    layer  rows  mean |x|  sd |x|  anisotropy  effective rank  participation    rank  rogue
    X       500     3.868   0.880      0.4993             8.0            7.8  8 of 8      -
    >>> found = rs.profile("bert-base-uncased", texts=["the keys are here", "the river"], device="cpu", progress=False)
    >>> found["layer.0"].n_samples
    6
    """
    if texts is not None:
        if isinstance(store, ActivationStore | Representation):
            raise OptionError("texts are for a model: a store has its rows. Leave texts out.")
        from ..extraction import extract

        with tempfile.TemporaryDirectory(prefix="pyrepsim-") as folder:
            named: Any = "all" if layers is None else layers
            options |= {"layers": named, "tokens": tokens, "dtype": "float32", "worker": "0/1"}
            rows = extract(store, texts, folder, progress=progress, **options)
            return _profile(rows, None, "all", backend, n_threads, progress)
    _check_has_rows(store, ForwardOptions(**options))
    return _profile(store, layers, tokens, backend, n_threads, progress)


def _check_has_rows(store: Any, options: ForwardOptions) -> None:
    """Raise OptionError for a model without texts, and for options of models beside a store or an array."""
    if isinstance(store, str | os.PathLike) or hasattr(store, "named_parameters") or hasattr(store, "tokenizer"):
        raise OptionError(
            f"A model is profiled on texts, and a store is opened first: got {type(store).__name__} alone. Give "
            "texts=..., or rs.open_store(path)."
        )
    if changed := [f.name for f in fields(options) if getattr(options, f.name) != f.default]:
        raise OptionError(f"{', '.join(changed)} is for a model: got a {type(store).__name__}. Leave it out.")


def _profile(
    store: Any,
    layers: Iterable[str] | None,
    tokens: Tokens,
    backend: str,
    n_threads: int | None,
    progress: bool | None,
) -> Profile:
    """Profile rows that are there: of a store, of a layer, or of an array."""
    if isinstance(store, Representation):
        if layers is not None:
            raise OptionError("layers chooses from a store: got one layer of it. Leave it out.")
        store, layers = store.store, [store.name]
    if isinstance(layers, str):
        layers = [layers]
    if isinstance(store, ActivationStore):
        layers = None if layers is None else expanded(layers, store.layers)
        if layers == []:
            raise OptionError("layers must name at least one layer: got none. Leave it out for all.")
        mask = store.columns.mask(tokens)
        streams = {name: store[name] for name in (store.layers if layers is None else layers)}
        total = len(streams) * int(np.count_nonzero(mask))
        sources = ((name, layer.chunks(_CHUNK_ROWS, mask=mask), layer.shape[1]) for name, layer in streams.items())
    else:
        if layers is not None or tokens_name(tokens) != "content":
            raise OptionError("layers and tokens choose from a store: an array is profiled as it is. Leave both out.")
        rows = rows_view(store)
        total = len(rows)
        sources = iter([("X", (rows[i : i + _CHUNK_ROWS] for i in range(0, len(rows), _CHUNK_ROWS)), rows.shape[1])])
    profiles = []
    with progress_bar(total, progress, desc="profile") as bar:
        for name, chunks, width in sources:
            moments = MomentsSet(
                (width,), transforms=("raw", "unit"), backend=backend, n_threads=n_threads, labels=(name,)
            )
            norms = _Norms()
            for chunk in chunks:
                moments.update([chunk])
                norms.update(chunk)
                bar.update(len(chunk))
            if moments.n_samples < 2:
                raise DegenerateError(
                    f"a profile needs at least two rows: got {moments.n_samples:g} of {name}. Select more tokens."
                )
            profiles.append(_layer_profile(name, moments.side(0, "raw"), moments.side(0, "unit"), norms))
    constant = [layer for layer in profiles if layer.rank == 0]
    if len(constant) == len(profiles):
        raise DegenerateError(
            f"a profile needs features that vary: {constant[0].layer} has the same row {constant[0].n_samples} times."
        )
    if constant:
        log.warning(
            "%s: all rows are equal, so the effective dimensions are NaN.", ", ".join(layer.layer for layer in constant)
        )
    return Profile(profiles)


class _Norms:
    """Mean and standard deviation of row norms, relative to the first norm so that no digits cancel."""

    def __init__(self) -> None:
        self.n, self.first, self.total, self.squares = 0, 0.0, 0.0, 0.0

    def update(self, chunk: np.ndarray) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # such rows raise an error when their sums are read
            norms = np.linalg.norm(chunk.astype(np.float64), axis=1)
            if self.n == 0:
                self.first = float(norms[0])
            self.n += len(norms)
            self.total += float(np.sum(norms - self.first))
            self.squares += float(np.sum((norms - self.first) ** 2))

    @property
    def mean(self) -> float:
        return self.first + self.total / self.n

    @property
    def sd(self) -> float:
        return math.sqrt(max(self.squares - self.total**2 / self.n, 0.0) / (self.n - 1))


def _layer_profile(name: str, raw: Side, unit: Side, norms: _Norms) -> LayerProfile:
    n = raw.n_samples
    values = raw.spectrum[0]
    rank = 0 if raw.is_constant else raw.rank_of(values)
    values = values[:rank]
    share = np.sqrt(values) / np.sum(np.sqrt(values))
    # mean over i != j of the product of feature f of two unit rows
    contributions = unit.mean**2 - np.diag(unit.scatter) / (n * (n - 1))
    anisotropy = float(np.sum(contributions))
    return LayerProfile(
        layer=name,
        n_samples=int(n),
        n_features=raw.n_features,
        mean_norm=norms.mean,
        sd_norm=norms.sd,
        anisotropy=anisotropy,
        effective_rank=float(np.exp(-np.sum(share * np.log(share)))) if rank else math.nan,
        participation_ratio=float(np.sum(values)) ** 2 / float(np.sum(values**2)) if rank else math.nan,
        rank=rank,
        rogue_dimensions=tuple(int(f) for f in _rogue_dimensions(raw)),
        rogue_contribution=float(np.sum(np.sort(contributions)[-3:]) / np.sum(np.abs(contributions))),
    )


def _rogue_dimensions(side: Side) -> np.ndarray:
    sds = np.sqrt(np.maximum(np.diag(side.scatter), 0.0) / (side.n_samples - 1))
    rogue = np.zeros(side.n_features, dtype=bool)
    for values in (np.abs(side.mean), sds):
        median = np.median(values)
        spread = max(1.4826 * float(np.median(np.abs(values - median))), 0.01 * float(np.median(sds)))
        rogue |= values - median > _ROGUE_THRESHOLD * spread
    return np.flatnonzero(rogue)
