"""`finetune`: prepare, train, score, and write a run."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, OptionError, PyrepsimError, StoreError
from ..core.outputs import explain_errors, has_files, temporary_folder
from ..core.ownership import empty_folder, owning, sweep_locks
from ..core.paths import as_path
from ..core.resume import check_same_request, read_record, write_record
from ..models import ModelLike
from ..models.loading import quiet_transformers
from ..models.restoring import flags_kept, random_state_kept
from ..models.saving import check_saved, save_encoder
from ..results.figures import save
from .facts import facts_of_head
from .figures import learning_curve
from .preparation import FinetuningRequest, PreparedTraining
from .recipes import Ablation, TrainingRecipe
from .run import RECORD, Run, open_run
from .task_model import check_saved_head, save_head
from .tasks.base import Task
from .trainer import TaskTrainer

__all__ = ["finetune", "owned"]

log = logging.getLogger("pyrepsim.finetuning")

_TORCH_WRITING = ("inline_container", "iostream error")
"""In errors of torch.save, which does not pass on the reason of the system."""
_INPUTS = ("model", "labels", "data")  # what must not change before a run is resumed
_SHORT = 16  # tokens of the text on which a saved model is checked
_REMEDY = "Use the same arguments, choose another folder, or overwrite the run."


@random_state_kept()
def finetune(
    model: ModelLike,
    task: str | Task,
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: TrainingRecipe | None = None,
    ablation: Ablation | None = None,
    device: str = "auto",
    inplace: bool = False,
    overwrite: bool = False,
    wait: float | None = None,
    progress: bool | None = None,
) -> Run:
    r"""Fine-tune `model` on `task` and write the run to the folder `out`.

    Call it again to resume an interrupted run from its last checkpoint, to the same weights; a finished run is only
    opened. Under ``torchrun`` it trains on the devices of all processes.

    Parameters
    ----------
    model : folder, hub id, ``id@revision``, torch.nn.Module or Encoder
        Any model of `load_encoder`. Of a model in memory a copy is trained, which needs its memory again; weights that
        need no gradient stay as they are.
    task : str or Task
        A name with options, such as ``"mnli"``, ``"squad"`` or ``"dependency(words='first')"``.
    out : path
        Folder of the run.
    train, dev, test : path or ``hub:owner/name[:config[:split]]``, optional
        Data in the task's own format. Default: the task's training and dev data on the hub, and no test data.
    recipe : TrainingRecipe, optional
        Default: the recipe shipped for the task, ``TrainingRecipe.for_task(name)``.
    ablation : Ablation, optional
        Layers to freeze, remove or re-initialise before training.
    device : str, default "auto"
        A torch device; "auto" is the GPU of this process if there is one. A model in memory stays on its device.
    inplace : bool, default False
        Train a model in memory itself, not a copy. It then has the trained weights; without its task head.
    overwrite : bool, default False
        Replace the run that the folder holds. Other files are never removed.
    wait : float, optional
        Seconds to wait for another process that writes to the folder. By default it is refused at once.
    progress : bool, optional
        Show a progress bar. None: on a terminal and in a notebook; lines in a log.

    Returns
    -------
    Run

    Raises
    ------
    TextError
        If data cannot be read or do not fit the task; names file and line.
    StoreError
        If `out` holds a run of another request; for a model in memory also one of other weights.
    LockedError
        If another process writes to `out`.
    OptionError, ModelError
        If an option is outside its domain, or the model cannot be loaded.

    Examples
    --------
    >>> from pathlib import Path
    >>> import pyrepsim as rs
    >>> lines = ["sentence\tlabel", "a fine film\t1", "a dull film\t0", "a fine plot\t1", "a dull plot\t0"]
    >>> _ = Path("films.tsv").write_text("\n".join(lines))
    >>> recipe = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=16)
    >>> run = rs.finetune("bert-base-uncased", "sst2", train="films.tsv", dev="films.tsv", out="runs/sst2",
    ...                   recipe=recipe, device="cpu")
    >>> sorted(run.scores)
    ['dev']
    """
    folder = as_path(out, "out")
    sources = {"train": train, "dev": dev, "test": test}
    request = FinetuningRequest.from_arguments(
        model, task, sources=sources, recipe=recipe, ablation=ablation, device=device, inplace=inplace
    )
    record = request.record()
    if (finished := _finished_run(folder, record, overwrite=overwrite)) is not None:
        if inplace:
            raise OptionError(
                f"inplace trains the model that is given: the run in {folder} is finished, and is only opened. "
                "Load the trained model from that folder, or train again with overwrite=True."
            )
        sweep_locks(folder)
        shutil.rmtree(folder / "resume", ignore_errors=True)  # if the process was killed at its very end
        return finished
    with owned(folder, wait=wait):
        if (finished := _finished_run(folder, record, overwrite=overwrite)) is not None:
            return finished  # by the process that we have waited for
        return _train(request, record, folder, overwrite=overwrite, progress=progress)


@contextmanager
def owned(folder: Path, *, wait: float | None) -> Iterator[None]:
    """Own the folder of a run; under torchrun the first process owns it for all."""
    with owning(folder, wait=wait) if int(os.environ.get("RANK", "0")) == 0 else nullcontext():
        yield


def _train(
    request: FinetuningRequest, record: Mapping[str, Any], folder: Path, *, overwrite: bool, progress: bool | None
) -> Run:
    """Train, or continue, in a folder that we own."""
    ready = request.prepare()
    with _explained(folder), flags_kept(ready.encoder.module):
        return _fit(ready, record, folder, overwrite=overwrite, progress=progress)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn errors of the system, also those in the words of other libraries, into a StoreError with a remedy."""
    with explain_errors(folder, task="Writing the run", kept="it is resumed from its last checkpoint"):
        try:
            yield
        except (PyrepsimError, OSError):
            raise
        except Exception as error:
            if (number := re.search(r"\(os error (\d+)\)", str(error))) is not None:  # safetensors, tokenizers
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            if any(words in str(error) for words in _TORCH_WRITING):
                raise OSError(errno.ENOSPC, "torch could not write a file completely") from error
            raise


def _fit(
    ready: PreparedTraining, record: Mapping[str, Any], folder: Path, *, overwrite: bool, progress: bool | None
) -> Run:
    if overwrite or not (folder / RECORD).exists():
        _check_saving(ready, folder)
    if overwrite:  # after preparing: a request that cannot be trained must not remove a run
        empty_folder(folder)
    inputs = ready.record()
    _start(folder, record, inputs)
    encoder, facts = ready.encoder, facts_of_head(ready)
    trainer = TaskTrainer(
        ready.model.train(),
        ready.data["train"].features,
        ready.recipe,
        folder=folder / "resume",
        request={**record, **{key: inputs[key] for key in _INPUTS}},
        pad_id=encoder.pad_id,
        device=encoder.device,
        evaluate_model=lambda: ready.score("dev"),
        save_encoder=lambda step: save_encoder(encoder, folder / "checkpoints" / f"step-{step:06d}"),
        progress=sys.stderr.isatty() if progress is None else progress,
    )
    with quiet_transformers():
        history = trainer.train_or_resume()
    if trainer.is_world_process_zero():
        _save(ready, folder)
        evaluations = {name: ready.evaluate(name, folder) for name in ("dev", "test") if name in ready.data}
        scores = {name: evaluation.scores for name, evaluation in evaluations.items()}
        facts += evaluations["dev"].facts
        last = {"step": trainer.state.global_step, "epoch": trainer.state.epoch}
        history = [*history, {**last, **{f"eval_{key}": value for key, value in scores["dev"].items()}}]
        _draw(history, ready.task.metric, folder / "curve.svg")
        listed = [fact._asdict() for fact in facts]
        write_record(folder / RECORD, record, inputs=inputs, scores=scores, history=history, facts=listed)
        shutil.rmtree(folder / "resume", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return open_run(folder)


def _finished_run(folder: Path, request: Mapping[str, Any], *, overwrite: bool) -> Run | None:
    """The finished run of this request, or None if there is something to train. Nothing is removed yet."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"A run is a folder: {folder} is a file. Choose another path.")
    if overwrite and (folder / RECORD).is_file():
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise OptionError(
                f"overwrite needs a single process, not torchrun: remove {folder} before torchrun starts."
            )
        return None
    record = read_record(folder / RECORD)
    if record is None:
        if has_files(folder):
            raise StoreError(
                f"A run needs a folder of its own: {folder} holds other files, and overwrite replaces runs only. "
                "Choose another one."
            )
        return None
    check_same_request(record["request"], request, where=folder, remedy=_REMEDY)
    return open_run(folder) if "scores" in record else None


def _start(folder: Path, request: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Write the record of a run that starts, or check that a resumed run still has the same model, labels and data."""
    started = read_record(folder / RECORD)
    if started is None:
        write_record(folder / RECORD, request, inputs=inputs)
        return
    old, new = ({key: values[key] for key in _INPUTS} for values in (started["inputs"], inputs))
    check_same_request(old, new, where=folder, remedy="Restore what changed, or overwrite the run.")


def _save(ready: PreparedTraining, folder: Path) -> None:
    """Write model, tokenizer and head, and open them again."""
    files = save_head(folder, ready.model.head, ready.task.head())
    save_encoder(ready.encoder, folder, others=files)
    saved = check_saved(ready.encoder, folder, ready.data["train"].features[0].inputs["input_ids"][:_SHORT])
    check_saved_head(folder, saved, ready.model.head)


def _check_saving(ready: PreparedTraining, folder: Path) -> None:
    """Save the untrained model in the folder and open it again, so that no training is lost."""
    if int(os.environ.get("RANK", "0")) != 0:
        return
    with temporary_folder(folder) as place:
        _save(ready, place)


def _draw(history: Sequence[Mapping[str, float]], metric: str, path: Path) -> None:
    try:
        save(learning_curve(history, metric), path)
    except MissingExtraError as error:
        log.info("no learning curve: %s", error)
