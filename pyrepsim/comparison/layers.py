"""The pairs of layers to compare, and their groups: layers whose rows are read together."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import LayerError, OptionError
from ..core.lazy import lazy
from ..core.patterns import is_pattern, matching

log = logging.getLogger("pyrepsim.comparison")

__all__ = ["LayerGroup", "Layers", "layer_groups", "layer_pairs", "unmatched_layers"]

_RESIDUAL = re.compile(r"embeddings|layer\.\d+")

Layers = str | Iterable[str | int | tuple[str | int, str | int]]


@dataclass(frozen=True)
class LayerGroup:
    """Layers that are connected by pairs: their rows are read together, without those of any other layer."""

    layers_x: tuple[str, ...]
    layers_y: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @lazy
    def members(self) -> list[tuple[int, str]]:
        """Side (0 for X, 1 for Y) and name of each layer: layers_x followed by layers_y."""
        return [*((0, name) for name in self.layers_x), *((1, name) for name in self.layers_y)]

    @lazy
    def index_pairs(self) -> list[tuple[int, int]]:
        """The pairs as indices into `members`."""
        offset, columns = (len(self.layers_x), self.layers_y) if self.layers_y else (0, self.layers_x)
        row, column = ({name: place for place, name in enumerate(names)} for names in (self.layers_x, columns))
        return [(row[a], offset + column[b]) for a, b in self.pairs]

    @lazy
    def crossed(self) -> list[tuple[int, int]]:
        """The pairs (i, j) with i < j whose cross moments give those of all `index_pairs`."""
        return list(dict.fromkeys((min(pair), max(pair)) for pair in self.index_pairs if pair[0] != pair[1]))

    def in_parts(self, n_parts: int) -> list[LayerGroup]:
        """Return groups of the pairs whose layers are in two parts of X and of Y, cut into so many parts of one size.

        A pair and the pair with X and Y exchanged are in the same group if both sides are one store. Layers and pairs
        keep their order, so that sums and scores have the same bits.
        """
        parts_x, parts_y = (
            {name: k * n_parts // len(names) for k, name in enumerate(names)}
            for names in (self.layers_x, self.layers_y or self.layers_x)
        )
        lists: dict[tuple[int, int], list[tuple[str, str]]] = {}
        for x, y in self.pairs:
            a, b = parts_x[x], parts_y[y]
            lists.setdefault((a, b) if self.layers_y or a < b else (b, a), []).append((x, y))
        groups = []
        for pairs in lists.values():
            used_x, used_y = ({pair[side] for pair in pairs} for side in (0, 1))
            used_x = used_x if self.layers_y else used_x | used_y
            layers_x = tuple(name for name in self.layers_x if name in used_x)
            groups.append(LayerGroup(layers_x, tuple(n for n in self.layers_y if n in used_y), tuple(pairs)))
        return groups

    def of_one_store(self) -> LayerGroup:
        """Return the group for a store that is compared with itself: each layer is once in layers_x."""
        return replace(self, layers_x=_unique([*self.layers_x, *self.layers_y]), layers_y=())


def layer_pairs(layers_x: Sequence[str], layers_y: Sequence[str], layers: Layers = "same") -> list[tuple[str, str]]:
    """Return the pairs of layers that the argument `layers` of `compare` describes.

    ``"same"``: layers of equal name; ``"all"`` and ``"best"``, which chooses later: every layer with every layer;
    ``"relative"``: each layer of the side with fewer layers with the layer of the other side at the nearest relative
    depth, i / (number of layers - 1) for the i-th of a side; or a list of pairs (a single name is paired with the same
    name). A layer may be given by its index.
    A pattern such as ``"layer.*.mlp"`` means each layer of both sides that it matches; in a pair, it is paired with all
    that the other name or pattern means.
    """
    if layers == "same":
        pairs = [(name, name) for name in layers_x if name in set(layers_y)]
        if not pairs:
            raise LayerError(
                f"layers='same' needs layers of equal names: got {_listed(layers_x)} and {_listed(layers_y)}. "
                "Pass layers='all', 'relative' or a list of pairs."
            )
        if left_out := unmatched_layers(layers_x, layers_y, layers):
            log.warning(
                "layers='same': layers of one side only are left out: %s. Use layers='all' or 'relative' for models of "
                "different depth.",
                "; ".join(f"{side[-1].upper()}: {_listed(names)}" for side, names in left_out.items()),
            )
        return pairs
    if layers == "relative":
        return _by_relative_depth(layers_x, layers_y)
    if layers in ("all", "best"):
        return [(a, b) for a in layers_x for b in layers_y]
    if isinstance(layers, str | Mapping) or not isinstance(layers, Iterable):
        raise OptionError(
            f"layers must be 'same', 'all', 'best', 'relative' or a list of (layer_x, layer_y): got {layers!r}."
        )
    pairs = [pair for item in layers for pair in _expanded(item, layers_x, layers_y)]
    if all(len(pair) == 2 for pair in pairs):
        pairs = [(_name(a, layers_x), _name(b, layers_y)) for a, b in pairs]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise OptionError(
            f"layers must be 'same', 'all', 'best', 'relative' or a list of (layer_x, layer_y): got {pairs!r}."
        )
    for a, b in pairs:
        for name, known in ((a, layers_x), (b, layers_y)):
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise LayerError(f"a layer must be one of {_listed(known)}: got {name!r}.{hint}")
    return list(dict.fromkeys(pairs))  # type: ignore[arg-type]


def unmatched_layers(layers_x: Sequence[str], layers_y: Sequence[str], layers: Any) -> dict[str, list[str]]:
    """Return what scores record of the layers of one side only, which ``layers="same"`` leaves out."""
    if not (isinstance(layers, str) and layers == "same"):
        return {}
    alone = {
        "left_out_x": [name for name in layers_x if name not in set(layers_y)],
        "left_out_y": [name for name in layers_y if name not in set(layers_x)],
    }
    return {side: names for side, names in alone.items() if names}


def _by_relative_depth(layers_x: Sequence[str], layers_y: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of ``"relative"``; of two layers that are as near, the earlier one."""
    other = next((name for name in (*layers_x, *layers_y) if not _RESIDUAL.fullmatch(name)), None)
    if other is not None:
        raise LayerError(
            f"layers='relative' needs layers of one kind, embeddings and layer.0, layer.1, ...: got {other!r}. Pass a "
            "list of pairs."
        )
    if len(layers_x) > len(layers_y):
        return [(b, a) for a, b in _by_relative_depth(layers_y, layers_x)]
    few, many = len(layers_x) - 1, len(layers_y) - 1
    # nearest integer to i * many / few, halves down, in integers
    return [(name, layers_y[(2 * i * many + few - 1) // (2 * few) if few else many]) for i, name in enumerate(layers_x)]


def _expanded(item: Any, layers_x: Sequence[str], layers_y: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the pairs that one entry of `layers` means."""
    if is_pattern(item):
        found_x, found_y = matching(item, layers_x), set(matching(item, layers_y))
        both = [name for name in found_x if name in found_y]
        if both and len(both) < len(found_y.union(found_x)):
            alone = ", ".join(sorted(found_y.symmetric_difference(found_x))[:8])
            log.warning("%r: layers of one side only are left out: %s", item, alone)
        if not both:
            raise LayerError(
                f"a pattern must match a layer of both sides: {item!r} matches none of {_listed(layers_x)} and "
                f"{_listed(layers_y)}."
            )
        return [(name, name) for name in both]
    if isinstance(item, str | int):
        return [(item, item)]
    pair = tuple(item)
    if len(pair) != 2 or not any(is_pattern(name) for name in pair):
        return [pair]
    matched = [
        matching(name, known) if is_pattern(name) else [name]
        for name, known in zip(pair, (layers_x, layers_y), strict=True)
    ]
    for name, found, known in zip(pair, matched, (layers_x, layers_y), strict=True):
        if not found:
            raise LayerError(f"a pattern must match a layer: {name!r} matches none of {_listed(known)}.")
    return [(a, b) for a in matched[0] for b in matched[1]]


def _name(layer: str | int, known: Sequence[str]) -> str:
    """Return the name of a layer that is given by name or by index."""
    inside = isinstance(layer, int) and -len(known) <= layer < len(known)
    return known[int(layer)] if inside else layer  # type: ignore[return-value]


def layer_groups(pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
    """Return the connected components of the graph of pairs, in order of first appearance.

    With ``"same"`` each pair is a group, so that only two layers are read at a time; ``"all"`` gives a single group.
    """
    groups: list[tuple[list[tuple[str, str]], set[str], set[str]]] = []
    for pair in pairs:
        touching = [group for group in groups if pair[0] in group[1] or pair[1] in group[2]]
        if not touching:
            groups.append(([pair], {pair[0]}, {pair[1]}))
            continue
        merged = touching[0]
        for group in touching[1:]:
            merged[0].extend(group[0])
            merged[1].update(group[1])
            merged[2].update(group[2])
        merged[0].append(pair)
        merged[1].add(pair[0])
        merged[2].add(pair[1])
        groups = [group for group in groups if not any(group is other for other in touching[1:])]
    return [LayerGroup(_unique(a for a, _ in g), _unique(b for _, b in g), tuple(g)) for g, _, _ in groups]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]}, ..., {names[-1]} ({len(names)} layers)"
