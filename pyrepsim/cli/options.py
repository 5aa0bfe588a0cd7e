"""Values of command-line options: layers, measures, files to write."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import OptionError
from ..core.memory import format_bytes
from ..core.patterns import is_pattern

__all__ = ["announce_dry_run", "check_disk_space", "layer_option", "model_folder", "output_files", "split_measures"]

_WRITERS = {".csv": "to_csv", ".jsonl": "to_jsonl", ".parquet": "to_parquet", ".html": "html"}
_WRITERS |= dict.fromkeys((".svg", ".png", ".pdf"), "plot")


def layer_option(text: str, *, pairs: bool = False) -> Any:
    """Return words for layers as they are, `a,b` as a list of names, and `a:b,c:d` as a list of pairs.

    A pattern alone stays one: it pairs each layer with that of the same name.
    """
    if text in ("all", "same") or (pairs and text in ("best", "relative")):
        return text
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise OptionError(f"Layers are names separated by commas: got {text!r}. Use all for every layer.")
    if not pairs:
        return items
    return [item if is_pattern(item) and ":" not in item else _pair(item) for item in items]


def _pair(item: str) -> tuple[str, str]:
    x, _, y = item.partition(":")
    return x, y or x


def split_measures(measures: str | Sequence[str]) -> list[str]:
    """Split at the commas outside parentheses: `"RSA(metric='dot', compare='cosine'), CCA"` is two."""
    text = measures if isinstance(measures, str) else ",".join(measures)
    return [item.strip() for item in re.split(r",(?![^()]*\))", text) if item.strip()]


def output_files(paths: str | Sequence[str] | None) -> dict[Path, str]:
    """Return each file to write and the method of `Scores` that writes it. OptionError if it could not be written."""
    listed = paths.split(",") if isinstance(paths, str) else paths or []
    files = [Path(path.strip()) for path in listed if path.strip()]
    for file in files:
        if file.suffix.lower() not in _WRITERS:
            raise OptionError(f"A file to write must end in one of {', '.join(_WRITERS)}: got {file}.")
        _check_writable(file)
    return {file: _WRITERS[file.suffix.lower()] for file in files}


def _check_writable(file: Path) -> None:
    """Raise OptionError before the work, not after it, for a file that cannot be written."""
    folder = next(path for path in file.absolute().parents if os.path.lexists(path))
    if file.is_dir():
        fact = f"{file} is a folder"
    elif not folder.is_dir():
        fact = f"{folder}, on the way to {file}, is no folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        fact = f"you may not write to {folder}"
    else:
        return
    raise OptionError(f"A file to write must have a folder that you may write to: {fact}. Choose another --out.")


def announce_dry_run(what: str) -> None:
    """Say on stderr what a dry run does, because loading a model and timing it may take a minute."""
    print(f"Dry run: {what}. Nothing is written.", file=sys.stderr, flush=True)


def check_disk_space(n_bytes: int, out: Path, *, of: str = "") -> None:
    """Print the bytes to write and the free disk space; OptionError if they do not fit."""
    parent = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(parent).free
    print(f"{format_bytes(n_bytes)}{of} to write, {format_bytes(free)} free at {parent}")
    if n_bytes > free:
        raise OptionError(f"The output must fit on the disk: {parent} has too little space. Choose another --out.")


def model_folder(model: str) -> str:
    """Return a name for a model's store: the last two parts of the model's name, because seeds share the last part.

    `runs/mnli/seed0` gives `mnli-seed0`.
    """
    named = [part for part in Path(model).parts if part not in ("/", "..")]
    return "-".join((named or Path(model).resolve().parts[1:] or ("model",))[-2:])
