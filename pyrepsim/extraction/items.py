"""A module and the rows that it gives for a batch of items: of hidden states, hook points, or a function's tensors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ..core.errors import LayerError, ModelError, PyrepsimError, ShapeError
from ..models import Encoder
from ..models.calls import given_tensor
from ..models.digests import weights_digest
from ..models.encoder import first_line
from ..models.hooks import find_points, layer_names, recording
from ..models.independence import TOLERANCE
from ..models.loading import load_module
from ..models.points import Items, Point, Rows
from ..models.restoring import undisturbed
from .batches import Batches, first_items, number_of_items, to_device
from .item_rows import RowRule, check_rule, rows_of_items

__all__ = ["Forward", "ItemReader"]

log = logging.getLogger("pyrepsim.extraction")

Forward = Callable[[Any, Any], Any]


class ItemReader:
    """Runs a module over batches and gives the rows of the chosen layers.

    Parameters
    ----------
    model : torch.nn.Module, folder, hub id or Encoder
        The module; a hub id or folder is loaded without tokenizer.
    batches : Batches
        The first batch is read to find layers, widths and rows.
    forward : callable, optional
        ``forward(module, batch)`` returns what the module returns, or a tensor, or a dict of names and tensors, which
        are then the layers. By default ``module(**batch)`` for a mapping, else ``module(batch)``, of a tuple or list
        the first entry.
    layers : str or sequence of str and int
        See `Encoder.widths`.
    rows : {"item", "token", "flatten"} or callable
        See `rows_of_items`.
    **loading
        See `load_encoder`.

    Attributes
    ----------
    own : tuple of str
        Names of what the module or the function returns: hidden states, or the entries of a dict, or "output".
    widths : dict of str to int
        Width of each chosen layer.
    settings : mapping of str to str
        As of an `Encoder`, for a model that was loaded here or is one.
    per_item : int or None
        Number of rows of an item; None if the mask of a batch decides it.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        *,
        forward: Forward | None,
        layers: str | Sequence[str | int],
        rows: RowRule,
        **loading: Any,
    ) -> None:
        check_rule(rows)
        self._encoder = model if isinstance(model, Encoder) else None
        loaded = load_module(model, whole=forward is not None, **loading)
        self.module, self.name, self.revision, self.settings = loaded
        self.device = next((one.device for one in self.module.parameters()), torch.device("cpu"))
        self._forward, self._rule = forward, rows
        with self._reading():
            self._prepare(batches.first, layers)

    @functools.cached_property
    def weights(self) -> str:
        """Digest of the weights."""
        return weights_digest(self.module) if self._encoder is None else self._encoder.weights

    def _reading(self) -> AbstractContextManager[None]:
        """For forward passes: with the adapter of an `Encoder`."""
        return undisturbed(self.module) if self._encoder is None else self._encoder.reading()

    def rows(self, batch: Any) -> tuple[dict[str, torch.Tensor], np.ndarray]:
        """Return the rows of each layer, (n_rows, width), item after item, and the number of rows of each item."""
        self._check_mask(batch)
        n, batch = number_of_items(batch), to_device(batch, self.device)
        with self._reading():
            found, counts = self._reduced(batch, self._tensors(batch, n))
        for name, values in found.items():
            if values.shape[1] != self.widths[name]:
                raise ShapeError(
                    f"A layer must have one width in all batches: {name!r} of {self.name!r} has {self.widths[name]} "
                    f"in the first one and {values.shape[1]} in another. Give items of one size, or use rows='item'."
                )
        return found, counts

    def _reduced(self, batch: Any, tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], np.ndarray]:
        mask = functools.partial(self._real_positions, batch)
        found: dict[str, torch.Tensor] = {}
        counts: dict[str, np.ndarray] = {}
        for name, tensor in tensors.items():
            last = self._features_last.get(name, False)
            found[name], counts[name] = rows_of_items(tensor, self._rule, mask, name, features_last=last)
        first = next(iter(counts))
        for name, count in counts.items():
            if not np.array_equal(count, counts[first]):
                item = int(np.argmax(count != counts[first]))
                raise LayerError(
                    f"All layers of a store have the same rows: for an item, layer {first!r} of {self.name!r} gives "
                    f"{counts[first][item]} rows and layer {name!r} {count[item]}. Use rows='item' (a mean), or "
                    "extract layers of different sizes to different stores."
                )
        return found, counts[first]

    def counts(self, batch: Any) -> np.ndarray:
        """Return the number of rows of each item of a batch, without running the module."""
        if self.per_item is not None:
            return np.full(number_of_items(batch), self.per_item, np.int64)
        self._check_mask(batch)
        lengths = (torch.as_tensor(batch["attention_mask"]) != 0).sum(1)
        if self._masked == "features":
            lengths = self._output_lengths(lengths)
        return lengths.cpu().numpy().astype(np.int64)

    # ---- the first batch ---------------------------------------------------------------------------------------

    def _prepare(self, first: Any, layers: str | Sequence[str | int]) -> None:
        n, batch = number_of_items(first), to_device(first, self.device)
        own = self._first_results(batch)
        states = [tensor for name, tensor in own.items() if name == "embeddings" or name.startswith("layer.")]
        states = states if "embeddings" in own else []
        positions = states[0].shape[1] if states and states[0].ndim == 3 else 1
        again: dict[str, torch.Tensor] = {}

        def run() -> Sequence[torch.Tensor]:
            again.update(self._results(batch))
            return [again[name] for name in own][: len(states)]

        widths = {name: tensor.shape[-1] for name, tensor in own.items()} if states else {}
        items = Items(n, positions)
        one_size = all(state.ndim == 3 and state.shape[1] == positions for state in states)
        rows = Rows(n, positions) if one_size else items  # feature maps, or stages with fewer and fewer positions
        self._points = find_points(self.module, run, widths, rows, name=self.name, paths=items)
        for name, tensor in own.items():
            if not torch.equal(tensor.nan_to_num(), again[name].nan_to_num()):
                raise ModelError(
                    f"The same batch must give the same rows each time: {name!r} of {self.name!r} differs the second "
                    "time. Remove what the module keeps between calls, or its randomness."
                )
        self.own = tuple(own)
        self._layers = self._chosen(layers, list(own))
        tensors = self._tensors(batch, n)
        self._has_mask = _mask_of(batch) is not None
        self._masked = self._kind_of_mask(batch, own | tensors)
        self._features_last = {name: self._has_features_last(name, tensor) for name, tensor in tensors.items()}
        found, counts = self._reduced(batch, tensors)
        self.widths = {name: int(tensor.shape[1]) for name, tensor in found.items()}
        self.per_item = None if self._rule == "token" and self._masked else int(counts[0])
        square = next((name for name, one in tensors.items() if self._is_square(name, one, n)), None)
        self._compare_with_one_item(first, found, counts, square)

    def _first_results(self, batch: Any) -> dict[str, torch.Tensor]:
        try:
            return self._results(batch)
        except PyrepsimError:
            raise
        except Exception as error:  # another library's forward pass may raise anything
            what = f"the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else _shape(batch)
            raise ModelError(
                f"A module must read the batches: {self.name!r} ({type(self.module).__name__}) does not "
                f"({first_line(error)}); the first batch has {what}. Pass forward=, a function of module and batch."
            ) from error

    def _chosen(self, layers: str | Sequence[str | int], own: list[str]) -> list[str]:
        """The names of the chosen layers: those of the output first, then hook points."""
        if layers == "all":
            if "embeddings" in own or (self._forward is not None and own):
                return own
            paths = [path for path, _ in self.module.named_children()]
            raise LayerError(
                f"Layers of a module without hidden states are named: {type(self.module).__name__} has the modules "
                f"{', '.join(paths[:12]) or 'none'}{', ...' if len(paths) > 12 else ''}, and those in them. Give "
                "layers=[...], with paths or patterns."
            )
        chosen = layer_names(layers, own, self.name)
        inside = [name for name in chosen if name not in own]
        return [*(name for name in own if name in chosen), *(self._points.find(inside) if inside else ())]

    def _kind_of_mask(self, batch: Any, tensors: Mapping[str, torch.Tensor]) -> str | None:
        """How ``batch["attention_mask"]`` tells which positions are padding: "direct", "features", or not at all."""
        mask = _mask_of(batch)
        lengths = [tensor.shape[1] for tensor in tensors.values() if tensor.ndim == 3]
        if mask is None or not lengths:
            return None
        if mask.shape[1] in lengths:
            return "direct"
        if hasattr(self.module, "_get_feature_vector_attention_mask"):
            return "features"
        if not callable(self._rule) and not bool(mask.all()):
            log.warning(
                "%s: the attention_mask has %d entries an item, and no layer has as many positions (%d, ...): padding "
                "is read as other positions are", self.name, mask.shape[1], lengths[0],
            )  # fmt: skip
        return None

    def _check_mask(self, batch: Any) -> None:
        """Refuse a batch with a mask if the first one has none, or without, and items that are padding alone."""
        mask = _mask_of(batch)
        if (mask is not None) != self._has_mask:
            raise ModelError(
                f"All batches have an attention_mask, or none has: the first one for {self.name!r} has "
                f"{'one and another has none' if self._has_mask else 'none and another has one'}. Make them alike."
            )
        if self._masked and mask is not None and not bool((mask != 0).any(1).all()):
            raise ModelError(
                f"Every item must have a position that is no padding: item {int((mask == 0).all(1).int().argmax())} of "
                f"a batch for {self.name!r} has none in its attention_mask. Leave the item out."
            )

    def _has_features_last(self, name: str, tensor: torch.Tensor) -> bool:
        """Whether the last of four or more axes counts features: the weight of a linear map or a norm says so."""
        point = None if name in self.own or tensor.ndim < 4 else self._points.point(name)
        if not isinstance(point, Point):
            return False
        module = self.module.get_submodule(point.path)
        weight = getattr(module, "weight", None)
        if isinstance(module, torch.nn.LayerNorm):
            return True
        if not isinstance(weight, torch.Tensor) or weight.ndim > 2:
            return False
        return weight.ndim == 2 or weight.shape[0] == tensor.shape[-1] != tensor.shape[1]

    def _is_square(self, name: str, tensor: torch.Tensor, n: int) -> bool:
        """Whether another axis than the one that is taken for it could count items."""
        point = None if name in self.own else self._points.point(name)
        return (tensor.ndim > 2 and tensor.shape[1] == n) or (isinstance(point, Point) and point.layout == "swapped")

    def _compare_with_one_item(
        self, first: Any, rows: Mapping[str, torch.Tensor], counts: np.ndarray, square: str | None
    ) -> None:
        """Log it if the rows of the first item change without the other items, by more than rounding.

        In the layer `square` another axis is as long as the one for items; LayerError if that one counts them.
        """
        n = len(counts)
        try:
            alone, own = self.rows(first_items(first, n, 1)) if n > 1 else (rows, counts)
        except Exception as error:  # a function may need whole batches
            if square is not None and isinstance(error, PyrepsimError):
                raise LayerError(
                    f"The first axis of a layer must count items: that of {square!r} of {self.name!r} seems to count "
                    f"positions, of which there are as many ({error}). Give batches of another size than {n}."
                ) from error
            return
        for name, tensor in alone.items():
            wanted = rows[name][: int(counts[0])].double()
            if len(own) != 1 or tensor.shape != wanted.shape:
                return
            error = float((tensor.double() - wanted).abs().max()) / (float(wanted.abs().max()) or 1.0)
            if error > TOLERANCE.get(rows[name].dtype, TOLERANCE[torch.float32]):
                log.warning(
                    "%s: the first item alone differs by %.1e of the largest value in layer %r from the same item in "
                    "its batch: rows depend on how items are batched", self.name, error, name,
                )  # fmt: skip
                return

    # ---- every batch -------------------------------------------------------------------------------------------

    def _results(self, batch: Any) -> dict[str, torch.Tensor]:
        """The tensors of what the module or the function returns: hidden states, or those of a mapping, or one."""
        if self._forward is not None:
            output = self._forward(self.module, batch)
        else:
            options = {"output_hidden_states": True} if isinstance(self.module, PreTrainedModel) else {}
            named = batch if isinstance(batch, Mapping) else {}
            plain = [] if named else [batch[0] if isinstance(batch, tuple | list) else batch]
            output = self.module(*plain, **named, **options)
        states = getattr(output, "hidden_states", None)
        if isinstance(states, tuple) and states and all(isinstance(state, torch.Tensor) for state in states):
            return {"embeddings": states[0]} | {f"layer.{i}": state for i, state in enumerate(states[1:])}
        if self._forward is not None and type(output) is dict:
            wrong = [name for name, value in output.items() if not isinstance(value, torch.Tensor)]
            if wrong or not output:
                raise ModelError(
                    "forward= returns what the module returns, a tensor, or a dict of names and tensors: got a dict "
                    f"{f'with a {type(output[wrong[0]]).__name__} under {wrong[0]!r}' if wrong else 'without entries'}."
                )
            return {str(name): value for name, value in output.items()}
        tensor = given_tensor(output)
        return {} if tensor is None else {"output": tensor}

    def _tensors(self, batch: Any, n: int) -> dict[str, torch.Tensor]:
        """One tensor (items, ...) for each chosen layer, from one forward pass."""
        found = {name: self._points.point(name) for name in self._layers if name not in self.own}
        points = {name: point for name, point in found.items() if isinstance(point, Point)}
        with recording(self.module, points) as tensors:
            results = self._results(batch)
        results |= {name: point.items(tensors[name], n, name) for name, point in points.items()}
        for name in self._layers:
            tensor = results.get(name)
            if tensor is None or tensor.ndim < 2 or len(tensor) != n or not tensor.is_floating_point():
                what = "nothing" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
                raise ModelError(
                    f"A layer must have numbers for each item: {name!r} of {self.name!r} is "
                    f"{what.removeprefix('torch.')} for {n} items. Leave it out."
                )
        return {name: results[name].to(self.device) for name in self._layers}  # a model may be on several devices

    def _real_positions(self, batch: Any, positions: int) -> torch.Tensor | None:
        """Which positions are no padding, (items, positions); None without a mask."""
        if self._masked is None:
            return None
        mask, module = batch["attention_mask"], self.module
        n_masked = mask.shape[1] if self._masked == "direct" else int(self._output_lengths(mask.shape[1]))
        if n_masked != positions:
            if bool(mask.all()):
                return None
            raise LayerError(
                f"A layer must have a position for each entry of the mask: one of {self.name!r} has {positions}, the "
                f"mask {n_masked}. Leave it out, or give a function for rows=."
            )
        if self._masked == "features":
            mask = module._get_feature_vector_attention_mask(positions, mask)  # type: ignore[operator]
        return mask.bool()

    def _output_lengths(self, lengths: Any) -> Any:
        """Number of positions of sounds of these lengths, by the model's own rule."""
        return self.module._get_feat_extract_output_lengths(lengths)  # type: ignore[operator]


def _mask_of(batch: Any) -> torch.Tensor | None:
    """The mask of a batch, (items, entries); None if it has none."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    mask = torch.as_tensor(mask) if isinstance(mask, np.ndarray) else mask
    return mask if isinstance(mask, torch.Tensor) and mask.ndim == 2 else None


def _shape(batch: Any) -> str:
    first = batch[0] if isinstance(batch, tuple | list) else batch
    return f"shape {tuple(first.shape)}" if isinstance(first, torch.Tensor) else f"a {type(first).__name__}"
