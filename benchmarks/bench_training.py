"""Fine-tuning compared with a bare loop over the same batches, and with batches padded to one length.

They run in turns, so that a slow phase of the machine affects all of them. Ours is a whole epoch of `TaskTrainer` with
its checkpoint, whose seconds are reported too (shipped recipes save one every few hundred updates).
The bare loop gets prepared batches. Texts have the lengths of a real corpus. Only a third of the padded sequences is
timed, because they all take the same time.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from statistics import median

import pytest

from benchmarks.bench_extraction import mixed_length_texts
from benchmarks.harness import report
from pyrepsim.core.errors import MissingExtraError

torch = pytest.importorskip("torch", reason="no torch: fine-tuning needs the extra [torch]")

from pyrepsim.finetuning.batches import LengthBuckets, collate  # noqa: E402
from pyrepsim.finetuning.heads import build_head  # noqa: E402
from pyrepsim.finetuning.recipes import TrainingRecipe  # noqa: E402
from pyrepsim.finetuning.task_model import TaskModel  # noqa: E402
from pyrepsim.finetuning.tasks import Feature  # noqa: E402
from pyrepsim.finetuning.trainer import TaskTrainer, make_optimizer  # noqa: E402
from pyrepsim.models import demo_models, load_encoder  # noqa: E402

TEXTS, PADDED, ROUNDS = 720, 240, 2
RECIPE = TrainingRecipe(epochs=1, batch_size=32, max_length=128)


@pytest.fixture(scope="module")
def encoder():
    try:
        return load_encoder(demo_models()[0], device="cpu")
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def features(encoder):
    ids = encoder.tokenizer(mixed_length_texts(TEXTS), truncation=True, max_length=RECIPE.max_length)["input_ids"]
    return [Feature({"input_ids": tokens, "label": i % 3}, i) for i, tokens in enumerate(ids)]


def make_model(encoder):
    return TaskModel(encoder.module, build_head(384, {"kind": "sequence", "labels": 3})).train()


def bare_epoch(model, batches):
    optimizer = make_optimizer(model, RECIPE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for batch in batches:
        model(**batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


class Timed(TaskTrainer):
    """A trainer that adds up the seconds it takes to save checkpoints."""

    saving = 0.0

    def _save_checkpoint(self, *arguments, **options):
        self.saving += seconds(super()._save_checkpoint, *arguments, **options)


def our_epoch(model, features, folder: Path, encoder):
    """Train one epoch; return the seconds spent on checkpoints."""
    trainer = Timed(
        model,
        features,
        RECIPE,
        folder=folder,
        pad_id=encoder.pad_id,
        device=encoder.device,
        evaluate_model=None,
        save_encoder=lambda _: None,
        progress=False,
    )
    trainer.train_or_resume()
    return trainer.saving


def in_batches(features, pad_id):
    size = RECIPE.batch_size
    return [collate(features[begin : begin + size], pad_id) for begin in range(0, len(features), size)]


def bucketed(features, pad_id):
    order = LengthBuckets([len(f) for f in features], RECIPE.batch_size, seed=0)
    return in_batches([features[i] for i in order], pad_id)


def padded(features, pad_id):
    """Batches in which every sequence is padded to max_length, like padding="max_length" of a tokenizer."""
    batches = in_batches(features, pad_id)
    for batch in batches:
        short = RECIPE.max_length - batch["input_ids"].shape[1]
        for name, fill in (("input_ids", pad_id), ("attention_mask", 0)):
            batch[name] = torch.nn.functional.pad(batch[name], (0, short), value=fill)
    return batches


def seconds(function, *arguments):
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def test_fine_tuning(benchmark, encoder, features, tmp_path):
    model = make_model(encoder)
    same, fixed = bucketed(features, encoder.pad_id), padded(features[:PADDED], encoder.pad_id)
    bare_epoch(model, same[:4])  # warm-up
    bare, fixed_length, saving = [], [], []

    def others():
        bare.append(seconds(bare_epoch, model, same))
        fixed_length.append(seconds(bare_epoch, model, fixed))

    folders = (tmp_path / str(number) for number in itertools.count())

    def ours():
        saving.append(our_epoch(model, features, next(folders), encoder))

    benchmark.pedantic(ours, setup=others, rounds=ROUNDS)
    tokens, taken = sum(map(len, features)), benchmark.stats.stats.median
    report(
        benchmark,
        tokens=tokens,
        tokens_per_second=tokens / taken,
        fraction_of_bare=median(bare) / taken,
        updates=len(same),
        saving_s=median(saving),
        times_fixed_length=median(fixed_length) * len(features) / PADDED / taken,
    )
