"""How each item of the evaluation data was scored, kept beside the predictions, and paired differences of two runs."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import CorruptStoreError, ModelError, OptionError, RowMismatchError
from ..core.json_files import OTHERS
from ..core.outputs import replacing
from ..core.paths import as_path, read_regular
from ..inference.resampling import jackknife_interval

__all__ = [
    "ItemScores",
    "PairedDifference",
    "mean_items",
    "paired_difference",
    "read_items",
    "write_items",
]

_SIZES, _GROUPS = "sizes", "groups"


class PairedDifference(NamedTuple):
    """The score of one run minus that of another on the same items: see `paired_difference`."""

    value: float
    low: float | None
    """The ends of the 95 % interval; None if there is only one group."""
    high: float | None
    n_items: int
    n_groups: int


@dataclass(frozen=True, eq=False)
class ItemScores:
    """The scores of a model on each item of its evaluation data: an example, a question, or a sentence of a treebank.

    The score of the model is ``sum(scores[metric]) / sum(sizes)``.

    Attributes
    ----------
    scores : mapping from str to ndarray of shape (n_items,), float64
        By metric, the sum of each item's cases: 0 or 1 for accuracy, the F1 of a question, the number of correct arcs
        of a sentence.
    sizes : ndarray of shape (n_items,), float64
        Number of cases of each item: its words if the score is a fraction of words, otherwise 1.
    groups : ndarray of shape (n_items,), int64
        Number of the group of each item. Items of one group are not independent: questions about one article, pairs
        with one premise, sentences of one document.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.finetuning.items import ItemScores
    >>> items = ItemScores({"las": np.array([3.0, 1.0])}, np.array([4.0, 1.0]), np.array([0, 1]))
    >>> items.score("las")
    0.8
    """

    scores: Mapping[str, np.ndarray]
    sizes: np.ndarray
    groups: np.ndarray

    def score(self, metric: str) -> float:
        """Return the score of all items: ``sum(scores[metric]) / sum(sizes)``."""
        return float(self.of(metric).sum() / self.sizes.sum())

    def of(self, metric: str) -> np.ndarray:
        """Return the scores of one metric; OptionError if it is not a mean over items."""
        if metric not in self.scores:
            raise OptionError(
                f"A metric of items is one of {', '.join(self.scores)}: got {metric!r}. Other scores are no means over "
                "items."
            )
        return self.scores[metric]


def paired_difference(first: ItemScores, second: ItemScores, metric: str) -> PairedDifference:
    """Score of `first` minus that of `second` on the same items, with a 95 % interval over groups of items.

    With d_i the difference of the scores of item i and w_i its size, the value is D = sum d_i / sum w_i. The interval
    is the jackknife's, D -+ t SE, with SE^2 = (G - 1) / G sum_g (D_g - mean D_g)^2 for the value D_g without group g of
    G, and Student's t of at most G - 1 degrees of freedom (fewer if few groups hold most of the difference: see
    `Jackknife`). It is about these two models on other items of the same kind, not about other trainings.

    Parameters
    ----------
    first, second : ItemScores
        Of two models on the same data.
    metric : str
        A key of their scores.

    Returns
    -------
    PairedDifference

    Raises
    ------
    OptionError
        If they have no such metric.
    RowMismatchError
        If their items differ in number, sizes or groups.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.finetuning.items import ItemScores, paired_difference
    >>> one, groups = np.ones(6), np.array([0, 0, 1, 1, 2, 2])
    >>> a = ItemScores({"accuracy": np.array([1.0, 1, 1, 1, 0, 1])}, one, groups)
    >>> b = ItemScores({"accuracy": np.array([1.0, 0, 1, 0, 0, 1])}, one, groups)
    >>> found = paired_difference(a, b, "accuracy")
    >>> round(found.value, 4), round(found.low, 4), round(found.high, 4), found.n_groups
    (0.3333, -0.3838, 1.0504, 3)
    """
    _check_same_items(first, second)
    lost = np.bincount(first.groups, first.of(metric) - second.of(metric))
    cases = np.bincount(first.groups, first.sizes)
    value, n_groups = float(lost.sum() / cases.sum()), len(cases)
    low, high = None, None
    rest = cases.sum() - cases
    if n_groups > 1 and (rest > 0).all():
        low, high = jackknife_interval(value, (lost.sum() - lost) / rest)
    return PairedDifference(value, low, high, len(first.sizes), n_groups)


def mean_items(runs: Sequence[ItemScores]) -> ItemScores:
    """The mean over runs of the scores of each item, for runs on the same data.

    The difference of two such means, paired by `paired_difference`, has the interval over items of a mean over runs.
    """
    first = runs[0]
    for run in runs[1:]:
        _check_same_items(first, run)
    return ItemScores(
        {name: np.mean([run.of(name) for run in runs], axis=0) for name in first.scores}, first.sizes, first.groups
    )


def write_items(items: ItemScores, folder: Path, data: str) -> None:
    """Write ``items-<data>.npz`` into the folder of a run or a step."""
    arrays = {f"score.{name}": values for name, values in items.scores.items()}
    with replacing(_path(folder, data)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{_SIZES: items.sizes, _GROUPS: items.groups, **arrays})


def read_items(folder: str | os.PathLike[str], data: str = "dev") -> ItemScores:
    """Read the scores of each item from the folder of a run, or of a step of an ablation.

    Parameters
    ----------
    folder : path
        The folder that `finetune` wrote, or ``<kind>-<value>-seed<seed>`` in that of `ablate`.
    data : {"dev", "test"}
        The evaluation data.

    Returns
    -------
    ItemScores

    Raises
    ------
    ModelError
        If the folder has no such file: the main score of the task is no mean over items, the data were not scored, or
        the run was made by an older version.
    CorruptStoreError
        If the file cannot be read.

    Examples
    --------
    >>> from pyrepsim.finetuning.items import read_items
    >>> read_items("runs/none")
    Traceback (most recent call last):
    ...
    pyrepsim.core.errors.ModelError: A run keeps the scores of its items in items-dev.npz: runs/none has none. To \
score a finished run again without training, use rs.ablate("exit", run, out=..., values=[number of blocks]).
    """
    path = _path(as_path(folder, "A run", error=ModelError), data)
    try:
        with np.load(io.BytesIO(read_regular(path, OTHERS.n_bytes)), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        scores = {name.removeprefix("score."): arrays[name] for name in arrays if name.startswith("score.")}
        return ItemScores(scores, arrays[_SIZES], arrays[_GROUPS])
    except FileNotFoundError as error:
        raise ModelError(
            f"A run keeps the scores of its items in {path.name}: {path.parent} has none. To score a finished run "
            'again without training, use rs.ablate("exit", run, out=..., values=[number of blocks]).'
        ) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptStoreError(
            f"The scores of items must be readable: {path} is not ({error}). Remove it, and score the run again."
        ) from error


def _check_same_items(first: ItemScores, second: ItemScores) -> None:
    if not (np.array_equal(first.sizes, second.sizes) and np.array_equal(first.groups, second.groups)):
        raise RowMismatchError(
            f"Paired scores are of the same items: the two runs have {len(first.sizes)} and {len(second.sizes)} items "
            "of different sizes or groups. Score both on the same data."
        )


def _path(folder: Path, data: str) -> Path:
    return folder / f"items-{data}.npz"
