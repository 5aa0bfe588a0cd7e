"""A result as one file: JSON for what is read by eye, arrays for the counts by sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import StoreError
from ...core.outputs import replacing
from .members import Member
from .targets import Finding

_ARRAYS = ("sentences", "records")


def save_result(fields: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the fields of a result."""
    plain = {name: value for name, value in fields.items() if name not in _ARRAYS}
    plain["members"] = [vars(member) for member in fields["members"]]
    plain["findings"] = {name: [vars(found) for found in findings] for name, findings in fields["findings"].items()}
    arrays = {f"{name}.{split}": array for name in _ARRAYS for split, array in fields[name].items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, json=np.array(json.dumps(plain, default=dict)), **arrays)
    return Path(path)


def load_result(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields that were written; StoreError for a file that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            fields = json.loads(str(file["json"]))
            for name in _ARRAYS:
                splits = [key.partition(".")[2] for key in file if key.startswith(f"{name}.")]
                fields[name] = {split: file[f"{name}.{split}"] for split in splits}
        fields["members"] = tuple(
            Member(**(member | {"sources": tuple(member["sources"])})) for member in fields["members"]
        )
        known = {field.name for field in dataclasses.fields(Finding)}
        fields["findings"] = {
            name: tuple(Finding(**{key: found[key] for key in known}) for found in findings)
            for name, findings in fields["findings"].items()
        }
        for name in ("layers", "rows", "weights", "history"):
            fields[name] = tuple(fields[name])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"A probing is read from a file that EdgeResult.save wrote: {path} is none, or damaged ({error}). Check "
            "the path."
        ) from error
    return fields
