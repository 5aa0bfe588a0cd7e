"""Load an encoder by hub id, revision or folder, with a clear error for each way this can fail."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from ..core.errors import BackendError, ModelError, OptionError, check_choice
from ..core.states import check_files
from .adapters import Adapters, add_adapter, base_of_adapter
from .encoder import Encoder, ModelLike, first_line
from .parts import encoder_part
from .quantization import quantization_config
from .restoring import use_full_attention
from .source import ModelSource, locate_model
from .wrapping import has_tokenizer, load_tokenizer, make_encoder, model_settings, unwrapped, wrap

__all__ = ["load_beside", "load_encoder", "load_encoders", "load_module", "quiet_transformers", "resolve_device"]

log = logging.getLogger("pyrepsim.models")

_DTYPES = ("float32", "bfloat16", "float16", "auto")
_ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Not a kernel of the hub, whose code would run."""
_WORDS = {"attn_implementation": "attention", "quantization_config": "quantization"}


def load_encoder(
    model: ModelLike,
    *,
    revision: str | None = None,
    device: str = "auto",
    model_dtype: str = "float32",
    device_map: Any = None,
    attention: str | None = None,
    quantization: Any = None,
    adapter: str | None = None,
) -> Encoder:
    """Load a model without task head and pooler, by default in float32.

    Parameters
    ----------
    model : folder, hub id, ``id@revision``, torch.nn.Module or `Encoder`
        Any model that ``AutoModel`` loads and that returns hidden states for token ids: encoders, decoders, and the
        encoder part of encoder-decoders. Code from a model repository is never run. An adapter of peft (LoRA, ...) is
        loaded with the base model that it names. A module in memory is taken as it is, on its own device, by `wrap`.
        An `Encoder` is returned unchanged. A folder without tokenizer, such as a checkpoint of transformers' Trainer,
        gets that of the folder above it.
    revision : str, optional
        Branch, tag or commit on the hub.
    device : str, default "auto"
        A torch device; "auto" is the GPU of this process (by LOCAL_RANK) if there is one, otherwise the CPU. It does
        not move a model in memory.
    model_dtype : {"float32", "bfloat16", "float16", "auto"}, default "float32"
        Type of the weights, in which the model computes. "auto" keeps that of the checkpoint. (The `dtype` of `extract`
        is the type in the store.)
    device_map : str or dict, optional
        Puts the model on several devices, as in transformers: "auto", "balanced", or a device for each module. It needs
        accelerate, and replaces `device`. Weights that would not fit are not offloaded: that is an error.
    attention : {"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}, optional
        Implementation of attention. Default: what transformers chooses.
    quantization : {"bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8"} or transformers configuration, optional
        Quantise the weights while they are loaded. A checkpoint that is quantised already needs no option.
    adapter : {"on", "off"} or str, optional
        For a model with an adapter: use it, use the base model alone, or use the adapter of this name. Default: on, or
        for a model in memory as it is.

    Returns
    -------
    Encoder
        Its `settings` say what differs from a model in float32 on one device; stores and scores record them.

    Raises
    ------
    ModelError
        If there is no such model, weights are missing, or it returns no hidden states for text.
    BackendError
        If torch cannot use the device.
    OptionError
        If an option has no such value, or one that chooses what is loaded is given for a model in memory.
    MissingExtraError
        If peft, or a library for the quantisation, is needed and not installed.
    CorruptStoreError
        If a file of a fine-tuned run changed after it was written.

    Examples
    --------
    >>> from pyrepsim.models import load_encoder
    >>> encoder = load_encoder("bert-base-uncased", device="cpu", model_dtype="bfloat16")
    >>> list(encoder.layers)[:2], encoder.settings
    (['embeddings', 'layer.0'], {'model_dtype': 'bfloat16'})
    """
    return load_beside(
        model,
        None,
        revision=revision,
        device=device,
        model_dtype=model_dtype,
        device_map=device_map,
        attention=attention,
        quantization=quantization,
        adapter=adapter,
    )


def load_beside(
    model: ModelLike,
    tokenizer: Any,
    *,
    revision: str | None,
    device: str,
    model_dtype: str,
    device_map: Any,
    attention: str | None,
    quantization: Any,
    adapter: str | None,
) -> Encoder:
    """As `load_encoder`; a folder or a revision on the hub that has no tokenizer gets this one, if it is not None."""
    request = _Request(device, model_dtype, device_map, attention, quantization)
    if isinstance(model, Encoder | torch.nn.Module):
        _check_is_loaded(model, revision, request)
        encoder = model if isinstance(model, Encoder) else wrap(model)
        return encoder if adapter is None else encoder.with_adapter(adapter)
    request.check()
    source = locate_model(model, revision=revision)
    places = [source]
    if (folder := Path(source.location)).is_dir():
        check_files(folder)
        places.append(ModelSource(source.name, str(folder.absolute().parent)))
    if source.is_adapter:
        base, base_revision = base_of_adapter(folder)
        places.append(locate_model(base, revision=base_revision))
    with quiet_transformers():
        if tokenizer is None or any(map(has_tokenizer, places)):
            tokenizer = load_tokenizer(*places)
        module = _load_module(places[-1] if source.is_adapter else source, request)
        if source.is_adapter:
            add_adapter(module, folder)
    encoder = make_encoder(module, tokenizer, name=source.name, revision=source.revision, attention=attention)
    return encoder if adapter is None else encoder.with_adapter(adapter)


def load_encoders(models: Sequence[ModelLike], **options: Any) -> list[Encoder]:
    """Load several models, each with its own option where an option is a list or a tuple of as many values.

    One that is loaded already, but for the choice of its adapter, is not loaded again.
    """
    shared, n = {}, len(models)
    for name, value in options.items():
        values = list(value) if isinstance(value, list | tuple) else [value] * n
        if len(values) != n:
            raise OptionError(f"{name} is one value, or one for each of {n} models: got {len(values)}.")
        shared[name] = values
    loaded: list[tuple[Any, Encoder]] = []
    encoders = []
    for index, model in enumerate(models):
        chosen = {name: values[index] for name, values in shared.items()}
        adapter = chosen.pop("adapter", None)
        same = next((encoder for request, encoder in loaded if request == (model, chosen)), None)
        if same is None:
            same = load_encoder(model, **chosen)
            loaded.append(((model, chosen), same))
        encoders.append(same if adapter is None else same.with_adapter(adapter))
    return encoders


def load_module(
    model: ModelLike,
    *,
    revision: str | None = None,
    device: str = "auto",
    model_dtype: str = "float32",
    device_map: Any = None,
    attention: str | None = None,
    quantization: Any = None,
    whole: bool = False,
) -> tuple[torch.nn.Module, str, str | None, Mapping[str, str]]:
    """Load a model of any kind without a tokenizer; return its module, its name, its commit and `Encoder.settings`.

    A module in memory is taken without what wraps it, and of an `Encoder` its module. Of a model of transformers the
    base model is returned, without task head and without the decoder of an encoder-decoder, unless `whole`.
    """
    request = _Request(device, model_dtype, device_map, attention, quantization)
    if isinstance(model, Encoder | torch.nn.Module):
        _check_is_loaded(model, revision, request)
    if isinstance(model, Encoder):
        return model.module, model.name, model.revision, model.settings
    if isinstance(model, torch.nn.Module):
        inner = unwrapped(model)
        base = encoder_part(inner)[0] if isinstance(inner, transformers.PreTrainedModel) and not whole else inner
        return base, str(getattr(base, "name_or_path", "") or type(base).__name__), None, {}
    request.check()
    source = locate_model(model, revision=revision)
    with quiet_transformers():
        module = _load_module(source, request)
    module = module if whole else encoder_part(module)[0]
    return module, source.name, source.revision, model_settings(module, attention, Adapters(module))


@dataclass(frozen=True)
class _Request:
    """How a model is to be loaded; see `load_encoder`."""

    device: str
    model_dtype: str
    device_map: Any
    attention: str | None
    quantization: Any

    def __post_init__(self) -> None:
        check_choice("model_dtype", self.model_dtype, _DTYPES)
        check_choice("attention", self.attention, _ATTENTION)

    def check(self) -> None:
        """Raise the error of a device or a quantisation that there is not, before anything is loaded."""
        if self.device_map is not None and self.device != "auto":
            raise OptionError(
                f"device_map says where a model is: got device={self.device!r} beside it. Leave one of them out."
            )
        _ = self.target, self.options

    @property
    def given(self) -> list[str]:
        """Names of the options that choose what is loaded."""
        values = {"model_dtype": None if self.model_dtype == "float32" else self.model_dtype}
        values |= {"device_map": self.device_map, "attention": self.attention, "quantization": self.quantization}
        return [name for name, value in values.items() if value is not None]

    @property
    def dtype(self) -> Any:
        return "auto" if self.model_dtype == "auto" else getattr(torch, self.model_dtype)

    @property
    def target(self) -> Any:
        """The device; None where the device map says it."""
        return None if self.device_map is not None else resolve_device(self.device)

    @property
    def options(self) -> dict[str, Any]:
        """Options of transformers that were given."""
        options = {"device_map": self.device_map, "attn_implementation": self.attention}
        if self.quantization is not None:
            options["quantization_config"] = quantization_config(self.quantization, self.dtype)
        return {name: value for name, value in options.items() if value is not None}


def _check_is_loaded(model: Encoder | torch.nn.Module, revision: str | None, request: _Request) -> None:
    given = [*([] if revision is None else ["revision"]), *request.given]
    if given:
        name = repr(model) if isinstance(model, Encoder) else type(model).__name__
        raise OptionError(f"{', '.join(given)} selects what is loaded: {name} is loaded already. Leave it out.")


def _load_module(source: ModelSource, request: _Request) -> torch.nn.Module:
    """Load a module to the device that was asked for, or where the device map says."""
    target, dtype, options = request.target, request.dtype, request.options
    where = {"revision": source.revision or "main", "trust_remote_code": False}
    auto = transformers.AutoModel
    try:
        stored, _ = transformers.PretrainedConfig.get_config_dict(source.location, **where)
        _say_if_widened(source.name, stored.get("dtype", stored.get("torch_dtype")), dtype)
        quantised = "quantization_config" in options or "quantization_config" in stored
        if quantised and target is not None:
            options = {**options, "device_map": {"": target}}  # quantised weights cannot be moved later
        chosen = {**options, **where, "dtype": dtype, "output_loading_info": True}
        try:
            module, info = auto.from_pretrained(source.location, add_pooling_layer=False, **chosen)
        except TypeError as error:
            if "add_pooling_layer" not in str(error):
                raise
            module, info = auto.from_pretrained(source.location, **chosen)
    except Exception as error:  # as above, and errors of safetensors and pickle
        given = sorted(_WORDS.get(name, name) for name in options)
        remedy = f", or leave out {' and '.join(given)}" if given else ""
        raise ModelError(
            f"{source.name!r} is not a model that transformers {transformers.__version__} loads without running "
            f"code from its repository ({first_line(error)}). Check the folder's config.json and weight files{remedy}."
        ) from error
    use_full_attention(module)
    part, whole = encoder_part(module)  # of an encoder-decoder, the weights of the decoder may be missing
    needed = part.state_dict() if whole is None else whole.names.values()
    missing = sorted(key for key in info["missing_keys"] if key in needed and not key.startswith("pooler."))
    if missing:
        # transformers fills missing weights with random numbers without an error.
        raise ModelError(
            f"All weights of the encoder must be in the checkpoint: {source.name!r} lacks {len(missing)}, the "
            f"first {missing[0]!r}. Compare the architecture in config.json with the weight files."
        )
    return module if target is None or quantised else module.to(target)


@cache
def _say_if_widened(name: str, stored: str | None, dtype: Any) -> None:
    """Log once for each model that it gets a wider type than that of its checkpoint."""
    if stored in ("bfloat16", "float16") and dtype == torch.float32:
        log.warning(
            "%s is stored in %s and is read in float32, which takes twice the memory; model_dtype='auto' keeps %s",
            name, stored, stored,
        )  # fmt: skip


def resolve_device(device: str) -> torch.device:
    """Return a torch device; "auto" is the GPU of this process (by LOCAL_RANK) if there is one, otherwise the CPU."""
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        rank = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", rank % torch.cuda.device_count())
    try:
        target = torch.device(device)
        torch.empty(1, device=target)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BackendError(
            f"The device must be one that torch can use here: {device!r} is not ({first_line(error)}). Use "
            "device='cpu', or 'auto'."
        ) from error
    return target


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide transformers' progress bars and its report of unused head weights, which are expected here."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
