"""Adapters of peft: read from a folder onto their base model, and switched on, off or by name over one loaded base."""

from __future__ import annotations

import importlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..core.errors import MissingExtraError, ModelError, OptionError

__all__ = ["Adapters", "add_adapter", "base_of_adapter", "configs_of"]

_NAME = "default"
_OF_BASE = re.compile(r"^(.*\.)?(base_layer|original_module)\.")


class Adapters:
    """The adapter layers of a module.

    Attributes
    ----------
    names : tuple of str
        Names of the adapters.
    active : str
        Names of those that are used, joined by "+", or "off".
    biased : bool
        Whether an adapter was trained together with biases of the base model, which are not as they were.
    """

    def __init__(self, module: torch.nn.Module, configs: Iterable[Any] = ()) -> None:
        self.biased = any(getattr(config, "bias", "none") != "none" for config in configs)
        self._layers = {
            path: child
            for path, child in module.named_modules()
            if hasattr(child, "_active_adapter") and hasattr(child, "_disable_adapters")
        }
        self._parts = {path: _parts(child) for path, child in self._layers.items()}
        self.names = tuple(sorted({name for names in self._parts.values() for name in names}))

    def __bool__(self) -> bool:
        return bool(self._layers)

    @property
    def active(self) -> str:
        used = {name for layer in self._layers.values() if not layer._disable_adapters for name in _active(layer)}
        return "+".join(name for name in self.names if name in used) or "off"

    def check(self, adapter: str, owner: str) -> None:
        """Raise OptionError or ModelError if this choice, "on", "off" or a name, is not there."""
        if not self:
            raise OptionError(f"adapter={adapter!r} chooses an adapter of peft: {owner!r} has none. Leave it out.")
        if adapter not in ("on", "off", *self.names):
            raise OptionError(f"adapter must be on, off or one of {', '.join(self.names)}: got {adapter!r}.")
        if adapter == "off" and self.biased:
            raise ModelError(
                f"Without its adapter a model is its base: {owner!r} was adapted with bias='all' or 'lora_only', which "
                "changes biases of the base. Give the base model itself."
            )
        if merged := [path for path, layer in self._layers.items() if getattr(layer, "merged_adapters", None)]:
            raise ModelError(
                f"An adapter is switched while it is apart from the weights: in {merged[0]!r} of {owner!r} it is "
                "merged into them. Call unmerge_adapter() of peft before."
            )

    @contextmanager
    def chosen(self, adapter: str | None) -> Iterator[None]:
        """Use "on", "off", or the adapter of this name alone, until the end; None: as it is.

        The two attributes are set directly, because peft's functions also change which weights need gradients.
        """
        if adapter is None:
            yield
            return
        before = [(layer, layer._disable_adapters, layer._active_adapter) for layer in self._layers.values()]
        try:
            for layer in self._layers.values():
                layer._disable_adapters = adapter == "off"
                if adapter not in ("on", "off"):
                    layer._active_adapter = [adapter]
            yield
        finally:
            for layer, disabled, active in before:
                layer._disable_adapters, layer._active_adapter = disabled, active

    def weights(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Of the weights of the module, by name, those that are used now, as the base model names them.

        With the adapter off these are the names and weights of the base model. The factors by which adapters are
        scaled are added.
        """
        found = dict(weights)
        for path, layer in self._layers.items():
            used = set() if layer._disable_adapters else set(_active(layer))
            start = f"{path}." if path else ""
            for name in [name for name in found if name.startswith(start)]:
                inner = name.removeprefix(start)
                if (own := _OF_BASE.sub("", inner)) != inner:
                    found[start + own] = found.pop(name)
                elif not used.intersection(inner.split(".")):
                    del found[name]
            scaling = getattr(layer, "scaling", None)
            if isinstance(scaling, Mapping):
                found |= {f"{start}scaling.{name}": float(scaling[name]) for name in sorted(used) if name in scaling}
        return found


def _active(layer: Any) -> list[str]:
    return [layer._active_adapter] if isinstance(layer._active_adapter, str) else list(layer._active_adapter)


def _parts(layer: Any) -> set[str]:
    """Names of the adapters of one layer."""
    names = set(layer._get_available_adapters()) if hasattr(layer, "_get_available_adapters") else set()
    return names or set(_active(layer))


def base_of_adapter(folder: Path) -> tuple[str, str | None]:
    """The base model that an adapter names, and its revision."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base, revision = config["base_model_name_or_path"], config.get("revision")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"adapter_config.json names the base model: that in {str(folder)!r} cannot be read ({error!r}). Save the "
            "adapter again with peft."
        ) from error
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"adapter_config.json names the base model: that in {str(folder)!r} has base_model_name_or_path={base!r}. "
            "Load the base, put the adapter on it (PeftModel.from_pretrained), and give that model."
        )
    return base, revision if isinstance(revision, str) else None


class _Headed(torch.nn.Module):
    """A base model under the name that it has in a model with a task head, on which adapters are trained."""

    def __init__(self, prefix: str, base: torch.nn.Module) -> None:
        super().__init__()
        self._prefix = prefix
        self.add_module(prefix, base)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            base = self._modules.get(self._prefix)
            if base is None:
                raise
            return getattr(base, name)


def _prefix(base: Any, names: list[str]) -> str:
    """The name of the base model in the model that weights with these names belong to, or "" for itself."""
    prefix = getattr(base, "base_model_prefix", "")
    return prefix if prefix and any(name.startswith(f"{prefix}.") for name in names) else ""


def configs_of(model: torch.nn.Module) -> list[Any]:
    """The configurations of the adapters of a model; ModelError for an adapter that is not made of layers."""
    names = ("peft_config", "_peft_config")  # the second of a model with a prompt or prefix
    found = [vars(child).get(name) for child in model.modules() for name in names]
    found = [config for configs in found if isinstance(configs, Mapping) for config in configs.values()]
    for config in found:
        _check_method(config)
    return found


def add_adapter(base: Any, folder: Path) -> None:
    """Put the adapter of a folder on its base model, which has no task head. Weights of the head are left out.

    Raises
    ------
    MissingExtraError
        Without peft.
    ModelError
        If the adapter does not fit the model, or is not made of layers (prefix and prompt tuning).
    """
    try:
        peft: Any = importlib.import_module("peft")
        saved: Any = importlib.import_module("peft.utils.save_and_load")
    except ImportError as error:
        raise MissingExtraError(
            f"An adapter needs peft: {error.name} is not installed. Install it with `pip install peft`."
        ) from error
    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        weights = saved.load_peft_weights(str(folder), device="cpu")
    except Exception as error:  # errors of safetensors, pickle, JSON, and of unknown methods
        raise ModelError(
            f"An adapter is a folder that peft wrote: {str(folder)!r} is not ({type(error).__name__}: {error}). Save "
            "the adapter again."
        ) from error
    _check_method(config)
    prefix = _prefix(base, [name.removeprefix("base_model.model.") for name in weights])
    config.task_type, config.inference_mode = None, True  # no task's own methods are needed
    try:
        with warnings.catch_warnings(action="ignore"):  # of weights that are missing: checked below
            model = peft.PeftModel(_Headed(prefix, base) if prefix else base, config, adapter_name=_NAME)
            result = saved.set_peft_model_state_dict(model, weights, adapter_name=_NAME)
        base.peft_config = model.peft_config  # as transformers does
    except Exception as error:  # another library's code may raise anything
        raise ModelError(
            f"An adapter must fit its base model: that of {str(folder)!r} does not fit {type(base).__name__} "
            f"({type(error).__name__}: {error}). Put it on its model with peft, and give that model."
        ) from error
    if missing := sorted(name for name in result.missing_keys if _NAME in name.split(".")):
        raise ModelError(
            f"All weights of an adapter must be in its file: {str(folder)!r} lacks {len(missing)}, the first "
            f"{missing[0]!r}. Put it on its model with peft, and give that model."
        )


def _check_method(config: Any) -> None:
    """Refuse adapters that are not layers of the model: a prefix or a prompt before the text."""
    if getattr(config, "is_prompt_learning", False):
        raise ModelError(
            f"An adapter is read as layers within its model: {config.peft_type.value} puts vectors before the text. "
            "Use LoRA or another adapter of layers."
        )
