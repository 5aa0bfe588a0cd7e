"""Members of a joint training: one probe each, over one layer or a mix of layers, with one seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core.errors import LayerError, OptionError

LEXICAL = "lex"


@dataclass(frozen=True)
class Member:
    """One probe. `sources` has the layers it reads: one, or the 0..K that it mixes."""

    name: str
    sources: tuple[str, ...]
    seed: int
    is_mix: bool

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.seed


def choose_members(
    wanted: str | Iterable[str] | None, layers: Sequence[str], seeds: Iterable[int], *, lexical: bool
) -> tuple[Member, ...]:
    """The probes that `wanted` names, for every seed; those over one layer first.

    "top" is the last of `layers`, "layers" each of them, "mix.K" the mix of the first K + 1, "mix" that of all,
    "mixes" every mix, "lex" the table of word pieces, anything else the layer of this name. None: layers, mixes, and
    lex where there is a table. Raises LayerError for a name that is none of these, OptionError for no seeds or none
    wanted.
    """
    names = ["layers", "mixes", *([LEXICAL] if lexical else [])] if wanted is None else wanted
    found: dict[str, tuple[str, ...]] = {}
    for name in [names] if isinstance(names, str) else names:
        found |= _sources(name, tuple(layers), lexical)
    seeds = tuple(seeds)
    if not found or not seeds:
        raise OptionError(f"A probing needs members and seeds: got {len(found)} members, {len(seeds)} seeds.")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise OptionError(f"A seed must be a whole number of at least 0: got {seed!r}.")
    if len(set(seeds)) != len(seeds):
        raise OptionError(f"Each seed trains its own probes, so all must differ: got {list(seeds)}.")
    every = [Member(name, sources, seed, name.startswith("mix.")) for name, sources in found.items() for seed in seeds]
    return tuple(sorted(every, key=lambda member: member.is_mix))


def _sources(name: str, layers: tuple[str, ...], lexical: bool) -> dict[str, tuple[str, ...]]:
    mixes = {f"mix.{last}": layers[: last + 1] for last in range(len(layers))}
    if name == "top":
        return {layers[-1]: layers[-1:]}
    if name == "layers":
        return {layer: (layer,) for layer in layers}
    if name == "mixes":
        return mixes
    if name == "mix":
        last = f"mix.{len(layers) - 1}"
        return {last: mixes[last]}
    if name in mixes:
        return {name: mixes[name]}
    if name == LEXICAL:
        if not lexical:
            raise OptionError('The member "lex" reads the table of word pieces: got none. Pass lex=, an encoder.')
        return {LEXICAL: (LEXICAL,)}
    if name in layers:
        return {name: (name,)}
    raise LayerError(
        f"A member must be top, layers, mix, mixes, mix.0 to mix.{len(layers) - 1}, lex, or one of the layers "
        f"{', '.join(layers)}: got {name!r}."
    )
