"""transformers' Trainer with this package's batches, optimiser and evaluation.

The training loop, devices, and saving and loading of checkpoints are those of transformers.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from ..core.errors import CorruptStoreError, NonFiniteError, OptionError
from ..core.resume import check_same_request
from ..core.states import check_files, set_aside, write_manifest
from .batches import LengthBuckets, collate
from .recipes import TrainingRecipe
from .task_model import TaskModel
from .tasks.base import Feature

__all__ = ["TaskTrainer", "autocast_dtype", "make_optimizer"]

log = logging.getLogger("pyrepsim.finetuning")


def make_optimizer(model: TaskModel, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW with bias correction, betas (0.9, 0.999) and eps 1e-8. Biases and normalisation weights do not decay."""
    rates = {"encoder": recipe.learning_rate, "head": recipe.head_learning_rate or recipe.learning_rate}
    groups = []
    for part, rate in rates.items():
        weights = [weight for weight in getattr(model, part).parameters() if weight.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [weight for weight in weights if weight.ndim > 1]),
            (0.0, [weight for weight in weights if weight.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products for `TrainingRecipe.precision` on this device.

    "auto" is bfloat16 on a GPU that supports it, otherwise float32. Raises OptionError for float16 on a CPU, where
    torch cannot scale gradients.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if precision == "fp16" and device.type == "cpu":
        raise OptionError("precision='fp16' needs a GPU: the device is the CPU. Use 'bf16' or 'fp32'.")
    return _DTYPES[precision]


class TaskTrainer(transformers.Trainer):
    """Trains a `TaskModel` by a `TrainingRecipe`.

    Parameters
    ----------
    folder
        Folder of the checkpoints to resume from.
    request
        What a checkpoint must belong to, as JSON.
    evaluate_model
        Returns the scores of the model in its current state, by name.
    save_encoder
        Called with the number of updates at each of the recipe's `checkpoints`.
    """

    def __init__(
        self,
        model: TaskModel,
        features: Sequence[Feature],
        recipe: TrainingRecipe,
        *,
        folder: Path,
        request: Mapping[str, Any],
        pad_id: int,
        device: torch.device,
        evaluate_model: Callable[[], dict[str, float]] | None,
        save_encoder: Callable[[int], None],
        progress: bool,
    ):
        self.recipe = recipe
        self._request = request
        self._features = features
        self._evaluate_model = evaluate_model
        args = _arguments(recipe, len(features), folder, device, scored=evaluate_model is not None, progress=progress)
        super().__init__(
            model=model,
            args=args,
            train_dataset=features,  # type: ignore[arg-type] - anything with a length and indices
            eval_dataset=features,  # type: ignore[arg-type] - required but not used: `evaluate` is overridden
            data_collator=lambda batch: collate(batch, pad_id),
            callbacks=[_SaveEncoder(recipe.checkpoints, save_encoder)] if recipe.checkpoints else None,
        )
        self.remove_callback(PrinterCallback)
        if progress:
            self.remove_callback(ProgressCallback)
            self.add_callback(_OneLineProgress)

    def train_or_resume(self) -> list[dict[str, float]]:
        """Train to the end, from the last complete checkpoint if there is one. Returns losses, rates and scores."""
        folder = Path(str(self.args.output_dir))
        if self.is_world_process_zero():
            _put_away_damaged(folder, self._request)
        self.accelerator.wait_for_everyone()
        newest = next(iter(_checkpoints(folder)), None)
        if newest is not None:
            log.info("resuming from %s", newest)
        model: Any = self.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        hooks = [weight.register_post_accumulate_grad_hook(_handle_signals) for weight in weights]
        try:
            self.train(resume_from_checkpoint=None if newest is None else str(newest))
        finally:
            for hook in hooks:
                hook.remove()
        # The last entry of the Trainer is times, and a mean loss that counts from the resumed checkpoint only.
        return [entry for entry in self.state.log_history if "train_runtime" not in entry]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process saves its own random state
        if self.is_world_process_zero():
            step = self.state.global_step
            folder = Path(str(self.args.output_dir)) / f"checkpoint-{step}"
            names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
            write_manifest(folder, names, {**self._request, "step": step})

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:
        del train_dataset
        lengths = [len(feature) for feature in self._features]
        return LengthBuckets(lengths, self.args.train_batch_size, seed=self.recipe.seed)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        del model
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.accelerator.unwrap_model(self.model), self.recipe)
        return self.optimizer

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        if not math.isfinite(logs.get("loss", 0.0)):
            raise NonFiniteError(
                f"The training loss must stay finite: it is not at update {self.state.global_step}. Lower the learning "
                "rates, raise warmup, or train in fp32; then start again with overwrite."
            )
        super().log(logs, *args, **options)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # Trainer calls it by the arguments' eval_strategy
        last = self.state.global_step >= self.state.max_steps  # `finetune` scores the finished model
        if self._evaluate_model is None or last or not self.is_world_process_zero():
            return {}
        metrics = {f"eval_{name}": value for name, value in self._evaluate_model().items()}
        self.log(metrics)
        return metrics


def _arguments(
    recipe: TrainingRecipe, n_features: int, folder: Path, device: torch.device, *, scored: bool, progress: bool
) -> transformers.TrainingArguments:
    dtype = autocast_dtype(recipe.precision, device)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        max_grad_norm=recipe.clip,
        lr_scheduler_type="linear",
        gradient_accumulation_steps=recipe.accumulation,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        eval_strategy="no" if not scored else "steps" if recipe.evaluate_every else "epoch",
        eval_steps=recipe.evaluate_every,
        save_strategy="steps" if recipe.save_every else "epoch",
        save_steps=recipe.save_every or 500,
        save_total_limit=2,
        logging_steps=10,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=not progress,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        ddp_find_unused_parameters=False,
        do_eval=scored,
    )
    args._n_gpu = min(args.n_gpu, 1)  # one device per process; torchrun starts several processes
    share = args.world_size * recipe.accumulation
    if recipe.batch_size % share:
        raise OptionError(
            f"batch_size must be a multiple of processes x accumulation: {recipe.batch_size} is no multiple of "
            f"{args.world_size} x {recipe.accumulation}. Change one of them."
        )
    args.per_device_train_batch_size = recipe.batch_size // share
    updates = math.ceil(math.ceil(n_features / recipe.batch_size) * recipe.epochs)
    args.warmup_steps = math.ceil(updates * recipe.warmup)
    return args


def _handle_signals(_: torch.Tensor) -> None:
    """Do nothing: Python handles Ctrl-C before it calls a function, and `backward` alone would not call one."""


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, the newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=_step, reverse=True)


def _put_away_damaged(folder: Path, request: Mapping[str, Any]) -> None:
    """Leave no damaged checkpoint that is newer than the newest undamaged one.

    The manifest is written last: a checkpoint without it was not finished, and is removed. A damaged one is moved to
    the folder above, where the Trainer does not look. Raises StoreError for a checkpoint of another request.
    """
    damaged = False
    for checkpoint in _checkpoints(folder):
        try:
            recorded = check_files(checkpoint)
        except CorruptStoreError as error:
            aside = set_aside(checkpoint, folder.parent)
            log.warning("%s %s was moved to %s, and the checkpoint before it is used.", error, checkpoint.name, aside)
            damaged = True
            continue
        if recorded is None:
            shutil.rmtree(checkpoint)
            continue
        check_same_request(recorded, {**request, "step": _step(checkpoint)}, where=checkpoint)
        return
    if damaged:
        log.warning("no undamaged checkpoint remains in %s: the training starts from the beginning", folder)


class _SaveEncoder(TrainerCallback):
    """Saves the encoder after the given numbers of updates; 0 is before the first."""

    def __init__(self, steps: Sequence[int], save: Callable[[int], None]):
        self.steps, self.save = set(steps), save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if state.global_step == 0 and 0 in self.steps and state.is_world_process_zero:
            self.save(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        if state.global_step in self.steps and state.is_world_process_zero:
            self.save(state.global_step)


class _OneLineProgress(ProgressCallback):
    """A progress bar with the loss and the last scores beside it, and no line per log entry."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, str] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        del args, control
        if state.is_world_process_zero and self.training_bar is not None:
            for name, value in (logs or {}).items():
                if name == "loss" or name.startswith("eval_"):
                    self._shown[name.removeprefix("eval_")] = f"{value:.4g}"
            self.training_bar.set_postfix(self._shown)
