"""Save an encoder so that `load_encoder` opens it, and open it again to make sure."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..core.errors import ModelError, PyrepsimError
from ..core.outputs import sweep, temporary_folder
from ..core.states import write_manifest
from .blocks import find_blocks
from .digests import weights_digest
from .encoder import Encoder
from .layer_changes import set_depth
from .loading import load_encoder, quiet_transformers
from .parts import Whole

__all__ = ["check_saved", "save_encoder"]

_TOLERANCE = 1e-3
"""Of the largest value: the rows of a model and of its copy on the CPU differ by rounding only."""


def save_encoder(encoder: Encoder, folder: Path, *, others: Iterable[str] = ()) -> None:
    """Write a model and its tokenizer, and last a manifest with the digests of their files.

    Of an encoder-decoder, the weights of the encoder are written under the names that they have in the whole model,
    with the configuration of the whole model.

    Parameters
    ----------
    encoder : Encoder
        The model.
    folder : Path
        Where to write it.
    others : iterable of str
        Names of files in the folder that belong to the model, such as its head; the manifest covers them too.

    Raises
    ------
    ModelError
        If some of the model's weights are those of an adapter, which would be saved without the others.
    """
    module: Any = encoder.module
    if encoder.adapters or getattr(module, "_hf_peft_config_loaded", False):
        raise ModelError(
            f"A model is saved with all its weights: {encoder.name!r} has an adapter, which is saved apart from them. "
            "Merge it into the model (merge_and_unload of peft), save that with save_pretrained, and use that folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with temporary_folder(folder) as place:
        with quiet_transformers():
            if encoder.whole is None:
                module.save_pretrained(place)
            else:
                _save_part(module, encoder.whole, place)
            encoder.tokenizer.save_pretrained(place)
        names = [path.name for path in place.iterdir() if path.is_file()]
        for path in place.iterdir():
            shutil.rmtree(folder / path.name, ignore_errors=True)  # a folder of templates, from an earlier call
            path.replace(folder / path.name)
    write_manifest(folder, [*names, *others])


def _save_part(module: torch.nn.Module, whole: Whole, folder: Path) -> None:
    config, depth = copy.deepcopy(whole.config), len(find_blocks(module))
    config.architectures = [whole.architecture]
    if (before := getattr(config, "num_hidden_layers", depth)) != depth:
        set_depth(config, before, depth)
    config.save_pretrained(folder)
    weights = {whole.names[name]: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def check_saved(encoder: Encoder, folder: Path, input_ids: Sequence[int]) -> Encoder:
    """Open a saved model on the CPU and return it.

    Parameters
    ----------
    encoder : Encoder
        The model that was saved.
    folder : Path
        Where it was saved.
    input_ids : sequence of int
        The tokens of a short text.

    Raises
    ------
    ModelError
        If it cannot be opened, has other weights or another tokenizer, or gives other rows for this text.
    """
    remedy = "Save the model in a form that AutoModel loads completely, or use another model."
    try:
        saved = load_encoder(folder, device="cpu")
    except PyrepsimError as error:
        raise ModelError(
            f"A model that is fine-tuned must open again from its saved files: {encoder.name!r} "
            f"({type(encoder.module).__name__}) does not. {error} {remedy}"
        ) from error
    rows, again = _rows(encoder, input_ids), _rows(saved, input_ids)
    same_rows = rows.shape == again.shape and bool((rows - again).abs().max() <= _TOLERANCE * rows.abs().max())
    checks = {
        "weights": saved.weights == weights_digest(encoder.module),
        "token ids": saved.tokenizer_digest == encoder.tokenizer_digest,
        "rows for the same text": same_rows,
    }
    if other := [what for what, same in checks.items() if not same]:
        raise ModelError(
            f"A model that is fine-tuned must open again as it is: {encoder.name!r} ({type(encoder.module).__name__}) "
            f"has other {' and '.join(other)} after it was saved and loaded. {remedy}"
        )
    return saved


def _rows(encoder: Encoder, input_ids: Sequence[int]) -> torch.Tensor:
    ids = torch.tensor([list(input_ids)], device=encoder.device)
    with encoder.reading():
        return encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.cpu()
