"""Load an encoder by hub id, revision or folder, with a clear error for each way this can fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers

from ..core.errors import BackendError, ModelError, OptionError
from ..core.states import check_files
from .encoder import Encoder, ModelLike, first_line
from .parts import encoder_part
from .source import ModelSource, locate_model
from .wrapping import load_tokenizer, wrap

__all__ = ["load_encoder", "quiet_transformers", "resolve_device"]


def load_encoder(model: ModelLike, *, revision: str | None = None, device: str = "auto") -> Encoder:
    """Load a model in float32, without task head and pooler.

    Parameters
    ----------
    model : folder, hub id, ``id@revision``, torch.nn.Module or `Encoder`
        Any model that ``AutoModel`` loads and that returns hidden states for token ids: encoders, decoders, and the
        encoder part of encoder-decoders. Code from a model repository is never run. A module in memory is taken as it
        is, on its own device, by `wrap`. An `Encoder` is returned unchanged.
    revision : str, optional
        Branch, tag or commit on the hub.
    device : str, default "auto"
        A torch device; "auto" is the GPU of this process (by LOCAL_RANK) if there is one, otherwise the CPU.

    Returns
    -------
    Encoder

    Raises
    ------
    ModelError
        If there is no such model, weights are missing, or it returns no hidden states for text.
    BackendError
        If torch cannot use the device.
    OptionError
        If a revision is given for a folder or for a model in memory.
    CorruptStoreError
        If a file of a fine-tuned run changed after it was written.

    Examples
    --------
    >>> from pyrepsim.models import load_encoder
    >>> encoder = load_encoder("bert-base-uncased", device="cpu")
    >>> list(encoder.layers)[:2]
    ['embeddings', 'layer.0']
    """
    if isinstance(model, Encoder | torch.nn.Module):
        if revision is not None:
            name = repr(model) if isinstance(model, Encoder) else type(model).__name__
            raise OptionError(f"revision selects what is loaded: {name} is loaded already. Leave revision out.")
        return model if isinstance(model, Encoder) else wrap(model)
    target = resolve_device(device)
    source = locate_model(model, revision=revision)
    if os.path.isdir(source.location):
        check_files(Path(source.location))
    with quiet_transformers():
        tokenizer = load_tokenizer(source)
        module = _load_module(source)
    return wrap(module.to(target), tokenizer, name=source.name, revision=source.revision)


def _load_module(source: ModelSource) -> torch.nn.Module:
    options = {
        "revision": source.revision or "main",
        "dtype": torch.float32,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    try:
        try:
            module, info = transformers.AutoModel.from_pretrained(source.location, add_pooling_layer=False, **options)
        except TypeError as error:
            if "add_pooling_layer" not in str(error):
                raise
            module, info = transformers.AutoModel.from_pretrained(source.location, **options)
    except Exception as error:  # as above, and errors of safetensors and pickle
        raise ModelError(
            f"{source.name!r} is not a model that transformers {transformers.__version__} loads without running "
            f"code from its repository ({first_line(error)}). Check the folder's config.json and weight files."
        ) from error
    part, whole = encoder_part(module)  # of an encoder-decoder, the weights of the decoder may be missing
    needed = part.state_dict() if whole is None else whole.names.values()
    missing = sorted(key for key in info["missing_keys"] if key in needed and not key.startswith("pooler."))
    if missing:
        # transformers fills missing weights with random numbers without an error.
        raise ModelError(
            f"All weights of the encoder must be in the checkpoint: {source.name!r} lacks {len(missing)}, the "
            f"first {missing[0]!r}. Compare the architecture in config.json with the weight files."
        )
    return module


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
