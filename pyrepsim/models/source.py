"""Where a model comes from: a folder on this machine, or a Hugging Face hub id at one commit.

FOLDED: Digests that say which weights and which tokenizer made a representation.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from ..core.errors import ModelError, OptionError
from ..data.hub import why_unreachable

if TYPE_CHECKING:
    import torch


def weights_digest(module: torch.nn.Module) -> str:
    """xxh3-128 over names, dtypes, shapes and bytes of all weights, in order of name."""
    import torch

    digest = xxhash.xxh3_128()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """xxh3-128 over what decides token ids: vocabulary, merges, normalisation, splitting, special tokens.

    Saved truncation and padding settings are left out: extraction never uses them, and they differ between a
    model and its fine-tuned descendants.
    """
    record = json.loads(tokenizer.backend_tokenizer.to_str())
    for irrelevant in ("version", "truncation", "padding", "decoder"):
        record.pop(irrelevant, None)
    return xxhash.xxh3_128(json.dumps(record, sort_keys=True).encode()).hexdigest()


_COMMIT = re.compile(r"/snapshots/([0-9a-f]{40})/")


@dataclass(frozen=True)
class ModelSource:
    """What to load: ``location`` is a folder or a hub id, ``revision`` the hub commit (None for a folder).

    A hub model is a folder of the hub's cache where the hub cannot be reached.
    """

    name: str
    location: str
    revision: str | None = None


def locate_model(model: str | os.PathLike[str], *, revision: str | None = None) -> ModelSource:
    """Find `model`: an existing folder first, otherwise ``id`` or ``id@revision`` on the hub.

    A branch or tag is resolved to its commit once, so that configuration, tokenizer and weights are of one
    commit and the record says which. Without a connection it is resolved from the hub cache.

    Raises
    ------
    ModelError
        If the folder is not a model, or the hub does not have the id, or cannot be reached.
    """
    name = os.fspath(model)
    folder = Path(os.path.expanduser(name))
    if os.path.exists(folder):
        if revision is not None:
            raise OptionError(f"A revision names a commit on the hub: {name!r} is a folder here. Leave revision out.")
        return ModelSource(name, str(_model_folder(name, folder)))
    if isinstance(model, os.PathLike) or _looks_like_a_path(name):
        raise ModelError(
            f"A model path must be an existing folder: {name!r} does not exist (working directory "
            f"{str(Path.cwd())!r}). Check the path, or give a hub id such as 'bert-base-uncased'."
        )
    hub_id, _, suffix = name.partition("@")
    if suffix and revision is not None and suffix != revision:
        raise OptionError(
            f"One model has one revision: got {suffix!r} in {name!r} and revision={revision!r}. Give one of them."
        )
    return ModelSource(hub_id, *_resolve_commit(hub_id, suffix or revision))


def _model_folder(name: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelError(f"A model is a folder: {name!r} is a file. Give the folder that holds config.json.")
    if not (folder / "config.json").is_file():
        present = sorted(entry.name for entry in folder.iterdir())
        listing = ", ".join(present[:6]) + (", ..." if len(present) > 6 else "") if present else "nothing"
        raise ModelError(
            f"A model folder holds config.json, weights and tokenizer: {name!r} has no config.json (it holds "
            f"{listing}). Save a model with `save_pretrained`, and its tokenizer beside it."
        )
    return folder


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def _resolve_commit(hub_id: str, revision: str | None) -> tuple[str, str | None]:
    """Where to load from, and the commit."""
    from huggingface_hub import errors as hub
    from huggingface_hub import hf_hub_download

    asked = f"{hub_id!r}" + (f" at revision {revision!r}" if revision else "")
    unreachable = why_unreachable()
    try:
        config = hf_hub_download(hub_id, "config.json", revision=revision, local_files_only=unreachable is not None)
    except hub.HFValidationError as error:
        raise ModelError(
            f"A model is a folder or a hub id ('name' or 'owner/name'): {hub_id!r} is neither. Check the spelling."
        ) from error
    except hub.GatedRepoError as error:
        raise ModelError(
            f"The hub must grant access: {asked} is gated. Accept its terms on its page, then `hf auth login`."
        ) from error
    except (hub.RepositoryNotFoundError, hub.RevisionNotFoundError) as error:
        raise ModelError(
            f"A model is a folder here or an id on the hub: neither has {asked}. Check the spelling; for a private "
            "model run `hf auth login`."
        ) from error
    except hub.LocalEntryNotFoundError as error:  # before EntryNotFoundError, which it derives from
        raise ModelError(
            f"{asked} is no folder here and is not in the hub cache, and the hub cannot be reached "
            f"({unreachable or _reason(error)}). Connect, or download it elsewhere with `hf download {hub_id}` and "
            "give the folder."
        ) from error
    except hub.EntryNotFoundError as error:
        raise ModelError(
            f"A model repository holds config.json: {asked} has none. Give a repository in transformers format."
        ) from error
    except (OSError, hub.HfHubHTTPError) as error:
        raise ModelError(f"The hub did not deliver {asked}: {_reason(error)}. Try again, or give a folder.") from error
    # The cache lays files out as snapshots/<commit>/config.json.
    commit = _COMMIT.search(Path(config).as_posix())
    location = hub_id if unreachable is None else str(Path(config).parent)
    return location, commit.group(1) if commit else revision


def _reason(error: BaseException) -> str:
    root = error.__cause__ or error
    return f"{type(root).__name__}: {str(root).strip().splitlines()[0] if str(root).strip() else 'no detail'}"
