"""The state of a training on disk: written whole after each validation, resumed only under the same settings."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from ...core.errors import CorruptStoreError, StoreError
from ...core.outputs import replacing
from .training import JointTraining

_STATE = "training.pt"


class Checkpoint:
    """A folder that belongs to one training, which `about` (JSON) describes."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self._path = folder / _STATE
        self._about = json.dumps(about, sort_keys=True)

    def save(self, training: JointTraining) -> None:
        with replacing(self._path) as temporary:
            torch.save({"about": self._about, "training": training.state()}, temporary)

    def resume(self, training: JointTraining) -> None:
        """Restore what was saved, if anything was.

        Raises StoreError for the state of another training, CorruptStoreError for a damaged file.
        """
        if not self._path.exists():
            return
        try:
            saved = torch.load(self._path, map_location="cpu", weights_only=True)
            about, state = saved["about"], saved["training"]
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CorruptStoreError(
                f"The state of a training must be whole: {self._path} is not. Remove it to start anew."
            ) from error
        if about != self._about:
            raise StoreError(
                f"A training is resumed only with the data and settings it began with: {self._path} is of another "
                f"({_difference(about, self._about)}). Choose another folder, or remove it."
            )
        training.restore(state)


def _difference(old: str, new: str) -> str:
    before, now = json.loads(old), json.loads(new)
    keys = [key for key in now if before.get(key) != now[key]]
    return f"{', '.join(keys)} differ"
