"""The revisions of a sweep: branches of a hub id, checkpoints of one training, or models of any kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError, OptionError
from ..core.resume import request_digest
from .encoder import Encoder, ModelLike
from .independence import computation
from .loading import load_beside, load_encoder
from .source import locate_model

__all__ = ["Revision", "find_reference", "find_revisions", "rows_digest"]

_CHECKPOINTS = ("checkpoint-*", "checkpoints/step-*")
"""Those of transformers' Trainer, and of `finetune`."""
_DECIDING = ("*.safetensors", "*.bin", "*config.json", "tokenizer*", "vocab*", "*.model")
"""Files of weights, configuration and tokenizer."""


@dataclass(frozen=True)
class Revision:
    """One model of a sweep, found and not loaded.

    Attributes
    ----------
    name : str
        What the caller calls it: a branch, the folder of a checkpoint, a model.
    label : str
        The name of the model in records and messages: ``id@branch``, a path, or `name`.
    model : ModelLike
    commit : str or None
        Commit on the hub.
    identity : mapping
        What decides its rows, known without loading it: the commit; names, sizes and times of the files of a folder; or
        the digest of a model in memory.
    """

    name: str
    label: str
    model: ModelLike
    commit: str | None
    identity: Mapping[str, Any]

    @property
    def place(self) -> Any:
        """Where it is: a folder, an id and a commit, or the module in memory with its adapter."""
        if isinstance(self.model, Encoder):
            return self.model.module, self.model.adapter
        return (self.model, self.commit) if self.commit else os.path.realpath(str(self.model))

    def load(self, tokenizer: Any = None, **options: Any) -> Encoder:
        """Load it with options of `load_encoder`; `tokenizer` is for a model that has none."""
        encoder = load_beside(self.model, tokenizer, **{**options, "revision": self.commit})
        return replace(encoder, name=self.label)


def find_revisions(model: Any, revisions: Sequence[str] | None) -> list[Revision]:
    """Find the models of a sweep, in the order that they are given, or that of their steps.

    Parameters
    ----------
    model : str, path, or sequence or mapping of models
        A hub id or a folder, or the models themselves.
    revisions : sequence of str, optional
        Branches, tags or commits of a hub id; names of checkpoints in a folder, by default all.

    Raises
    ------
    OptionError
        If there are fewer than two, names are not unique, or `revisions` does not apply.
    ModelError
        If one does not exist.
    """
    if isinstance(revisions, str) or not isinstance(revisions, Iterable | None):
        raise OptionError(f"revisions is a list of names: got {revisions!r}. Give a list, such as ['step0', 'main'].")
    names = None if revisions is None else list(dict.fromkeys(revisions))
    if names and not all(isinstance(name, str) and name for name in names):
        raise OptionError(f"revisions is a list of names: got {names!r}. Give text, such as ['step0', 'main'].")
    if not isinstance(model, str | os.PathLike):
        found = _of_models(model, names)
    elif os.path.isdir(folder := Path(os.path.expanduser(os.fspath(model)))):
        found = [_of_path(name, path, str(path)) for name, path in _checkpoints(folder, names).items()]
    elif names is None:
        locate_model(model)  # a path that does not exist has a message of its own
        raise OptionError(
            f"A hub id needs revisions: got none for {os.fspath(model)!r}. Name branches, tags or commits; "
            "huggingface_hub.list_repo_refs lists them."
        )
    else:
        hub_id = os.fspath(model)
        found = [_of_hub(name, hub_id, name, f"{hub_id}@{name}") for name in names]
    if len(found) < 2:
        raise OptionError(
            f"A sweep needs at least two revisions: got {len(found)}. Name more, or use compare_models for two models."
        )
    return found


def find_reference(reference: ModelLike | None, found: Sequence[Revision]) -> Revision:
    """Return the revision that this names, by default the last one; or another model."""
    if reference is None:
        return found[-1]
    if isinstance(reference, str) and (named := [one for one in found if one.name == reference]):
        return named[0]
    other = _of_model(reference)
    if same := [one for one in found if one.place == other.place]:
        return same[0]
    return replace(other, name=f"{other.name} (reference)") if other.name in {one.name for one in found} else other


def _of_models(models: Any, revisions: Sequence[str] | None) -> list[Revision]:
    if isinstance(models, torch.nn.Module | Encoder) or not isinstance(models, Sequence | Mapping):
        kind = type(models).__name__
        raise OptionError(
            f"A sweep reads several models: got one {kind}. Give a hub id with revisions, a folder of checkpoints, or "
            "a list of models."
        )
    if revisions is not None:
        raise OptionError("revisions names branches or checkpoints of one model: got it with several. Leave it out.")
    if isinstance(models, Mapping):
        return [replace(_of_model(model), name=str(name)) for name, model in models.items()]
    found = [_of_model(model) for model in models]
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(
            f"Models of a sweep need different names: two are called {twice!r}. Give a mapping from name to model."
        )
    return found


def _of_model(model: ModelLike) -> Revision:
    if isinstance(model, torch.nn.Module | Encoder):
        encoder = load_encoder(model)
        return Revision(encoder.name, encoder.name, encoder, None, {"weights": encoder.weights})
    name = os.fspath(model)
    path = Path(os.path.expanduser(name))
    if isinstance(model, os.PathLike) or os.path.isdir(path):
        return _of_path(name, path, name)
    hub_id, _, revision = name.partition("@")
    return _of_hub(name, hub_id, revision or None, name)


def rows_digest(encoder: Encoder) -> str | None:
    """Digest of what decides the rows of a text: weights, tokenizer, class and configuration.

    None if the model runs code that these do not determine, such as hooks.
    """
    key = computation(encoder.module, weights=encoder.weights, tokenizer=encoder.tokenizer_digest, **encoder.settings)
    return None if key is None else request_digest(key)


def _of_path(name: str, path: Path, label: str) -> Revision:
    source = locate_model(path)
    files = {file for pattern in _DECIDING for file in Path(source.location).glob(pattern)}
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]
    return Revision(name, label, str(path), None, {"files": request_digest({"files": states})})


def _of_hub(name: str, hub_id: str, revision: str | None, label: str) -> Revision:
    source = locate_model(hub_id, revision=revision)
    return Revision(name, label, hub_id, source.revision, {"commit": source.revision})


def _checkpoints(folder: Path, names: Sequence[str] | None) -> dict[str, Path]:
    """Return the folders of checkpoints by name: all in the order of their steps, or those that are named."""
    paths = [path for pattern in _CHECKPOINTS for path in folder.glob(pattern) if path.is_dir()]
    numbered = [(int(found[0]), path) for path in paths if (found := re.findall(r"-(\d+)$", path.name))]
    known = {path.name: path for _, path in sorted(numbered)}
    if names is None and not known:
        raise ModelError(
            f"A folder of checkpoints holds checkpoint-* or checkpoints/step-*: {str(folder)!r} has none. Give another "
            "folder, a list of folders, or a hub id with revisions."
        )
    if names is None:
        return known
    chosen = {name: known.get(name, folder / name) for name in names}
    if missing := [name for name, path in chosen.items() if not path.is_dir()]:
        raise ModelError(
            f"A revision of a folder is a checkpoint in it: {str(folder)!r} has no {missing[0]!r}. It has "
            f"{', '.join(known) or 'none'}."
        )
    return chosen
