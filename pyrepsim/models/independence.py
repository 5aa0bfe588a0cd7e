"""Check that the rows of a text do not depend on other texts: those beside it in a batch, or those read before it.

Some models read neighbouring positions without the attention mask (MobileBERT, FNet, ConvBERT), so padding changes
their rows. They are run one text at a time. Models whose state or randomness outlives a call are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..core import json_files
from ..core.errors import StoreError
from ..core.outputs import replacing
from ..core.resume import request_digest

__all__ = [
    "ONE_AT_A_TIME",
    "PADDED",
    "TOLERANCE",
    "Difference",
    "Forward",
    "Independence",
    "measure",
    "recall",
    "remember",
]

PADDED, ONE_AT_A_TIME = "padded", "one text at a time"

TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of two equal rows, relative to the largest value of their layer: rounding depends on the shape of
a batch. Measured in float32: at most 1.2e-6 for 45 families of tiny models, 3e-6 for e5-small, and 1.2e-5 for 24 layers
of large random weights; models that read padding differ by 5e-4 to 1.7. In bfloat16 and float16 that random model
differs by 2.7e-2 and 4.7e-3."""
_TF32 = 1e-2  # of float32 where torch may use TensorFloat-32 for products
_CAUSAL_TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 1e-3}

_LENGTHS = (6, 3, 10)  # tokens of the middle, the short and the long text; the three together have 30 with padding

States = tuple[torch.Tensor, ...]
Forward = Callable[..., States]


@dataclass(frozen=True)
class Difference:
    """The largest relative difference over all layers, its layer, and the tolerance of the layer's type."""

    value: float
    layer: int
    tolerance: float

    @property
    def is_rounding(self) -> bool:
        return self.value <= self.tolerance


@dataclass(frozen=True)
class Independence:
    """How the rows of a text change with other texts, and with the tokens after them.

    Attributes
    ----------
    again : Difference
        Between a text read first, and the same text read again after a shorter and a longer one.
    together : Difference
        Between three texts alone, and the same three in one padded batch.
    later : Difference
        Between a text, and the same text with more tokens after it. Only rounding in a causal model.
    """

    again: Difference
    together: Difference
    later: Difference

    @property
    def batching(self) -> str:
        return PADDED if self.together.is_rounding else ONE_AT_A_TIME

    @property
    def causal(self) -> bool:
        return self.later.is_rounding


def measure(
    forward: Forward, *, vocabulary: int, special: Collection[int], pad_id: int, limit: int | None, device: Any
) -> Independence:
    """Compare the rows of three texts in five forward passes of at most 30 tokens.

    The short text is the beginning of the middle one, and this of the long one. `forward` maps token ids and an
    attention mask to hidden states without gradients; `limit` is the number of positions of the model.
    """
    middle, short, long = (max(1, n * min(limit or 10, 10) // 10) for n in _LENGTHS)
    tokens = torch.tensor([_ordinary_ids(long, vocabulary, special)], device=device)

    def alone(length: int) -> States:
        return forward(tokens[:, :length], torch.ones_like(tokens[:, :length]))

    lengths = (middle, long, short)  # in the batch, a longer text comes after a shorter one, and before one
    first = alone(middle)
    texts = {short: alone(short), long: alone(long), middle: first}
    mask = torch.stack([torch.arange(long, device=device) < length for length in lengths]).long()
    batch = forward(tokens.expand(3, -1).masked_fill(mask == 0, pad_id), mask)
    last = alone(middle)
    rows = [tuple(state[i : i + 1, :length] for state in batch) for i, length in enumerate(lengths)]
    together = [_difference(row, texts[length]) for row, length in zip(rows, lengths, strict=True)]
    later = [
        _difference(tuple(state[:, :length] for state in texts[more]), texts[length], _CAUSAL_TOLERANCE)
        for length, more in ((short, middle), (middle, long))
    ]
    return Independence(_difference(last, first), max(together, key=_excess), max(later, key=_excess))


def _ordinary_ids(n: int, vocabulary: int, special: Collection[int]) -> list[int]:
    """Return n token ids from the whole vocabulary, special tokens only if there is nothing else."""
    ordinary = [index for index in range(vocabulary) if index not in special] or list(range(vocabulary))
    step = max(1, int(0.618 * len(ordinary)))
    return [ordinary[(step * (k + 1)) % len(ordinary)] for k in range(n)]


def _excess(difference: Difference) -> float:
    return difference.value / difference.tolerance


def _difference(found: States, wanted: States, tolerances: dict[torch.dtype, float] | None = None) -> Difference:
    """Compare two readings layer by layer; `tolerances` replace those of `TOLERANCE`."""
    known = TOLERANCE | (tolerances or {})
    if found[0].is_cuda and torch.get_float32_matmul_precision() != "highest":
        known |= {torch.float32: _TF32}
    differences = [
        Difference(_relative(x, y), layer, known.get(y.dtype, TOLERANCE[torch.float32]))
        for layer, (x, y) in enumerate(zip(found, wanted, strict=True))
    ]
    return max(differences, key=_excess)


def _relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return max |found - wanted| / max |wanted|. Where both are not finite they are equal, where one is, infinite."""
    found, wanted = found.double(), wanted.double()
    finite = torch.isfinite(wanted)
    if not torch.equal(finite, torch.isfinite(found)):
        return float("inf")
    if not finite.any():
        return 0.0
    error = float((found - wanted)[finite].abs().max())
    return error / float(wanted[finite].abs().max()) if error else 0.0


def computation(module: torch.nn.Module, **settings: Any) -> dict[str, Any] | None:
    """Everything that the result depends on, or None if the module runs code that the weights do not determine."""
    for child in module.modules():
        hooks = [*child._forward_hooks.values(), *child._forward_pre_hooks.values()]
        code = [type(child), *(hook if hasattr(hook, "__qualname__") else type(hook) for hook in hooks)]
        known = all(part.__module__.partition(".")[0] in ("torch", "transformers") for part in code)
        if not known or "forward" in vars(child):
            return None
    config: Any = module.config
    options = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    versions = {package: version(package) for package in ("pyrepsim", "torch", "transformers")}
    precision = torch.get_float32_matmul_precision()
    return {"class": type(module).__qualname__, "config": options, "versions": versions, "fp32": precision, **settings}


def _path(key: dict[str, Any]) -> Path:
    root = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return folder / "pyrepsim" / "models" / f"{request_digest(key)}.json"


def recall(module: torch.nn.Module, **settings: Any) -> Independence | None:
    """Return the result that `remember` wrote to the user's cache folder for this module, or None.

    The folder is ``$XDG_CACHE_HOME/pyrepsim/models``, by default in ``~/.cache``. `settings` are whatever the result
    depends on besides class, configuration and versions.
    """
    if (key := computation(module, **settings)) is None:
        return None
    try:
        record = json_files.read(_path(key))
        return Independence(*(_read(record[name]) for name in ("again", "together", "later")))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError):
        return None  # absent, or damaged: the check runs again


def _read(entry: Any) -> Difference:
    return Difference(float(entry["value"]), int(entry["layer"]), float(entry["tolerance"]))


def remember(result: Independence, module: torch.nn.Module, **settings: Any) -> None:
    """Write the result to the user's cache folder, if it can be written."""
    if (key := computation(module, **settings)) is None:
        return
    try:
        with replacing(_path(key)) as temporary:
            temporary.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")
    except (StoreError, RuntimeError):
        pass
