"""Edge probes of all layers and mixes at once, compared with one layer alone, and with a naive loop.

The probes predict dependencies of generated sentences from a 12-layer BERT with random weights (as fast as a trained
one) and the tokenizer of the demo. Three ratios are reported:

step         training all 13 layers and 13 cumulative mixes / training one layer, reading included
probing      extraction + EPOCHS epochs + validations, all at once / the same for one layer
naive        running the encoder on every batch of every epoch, one probe after another / ours, extraction included

The time of the naive loop is computed from measured parts: one epoch of the encoder, times `counted_epochs`, and the
epochs with validation of one probe of a layer and of one of a mix. The times of extraction and of training are both
proportional to the number of sentences, so `probing` depends on the number of epochs and not on the size of the corpus.
With many epochs it approaches `step`.
"""

from __future__ import annotations

import json
import time
from statistics import median

import numpy as np
import pytest

from benchmarks.harness import report
from pyrepsim.core.errors import MissingExtraError
from pyrepsim.studies.synthetic import generate_sentences
from pyrepsim.studies.synthetic.files import edge_probing_records

torch = pytest.importorskip("torch", reason="no torch: probes need the extra [torch]")

from pyrepsim.extraction import extract  # noqa: E402
from pyrepsim.models import demo_models, load_encoder  # noqa: E402
from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes, probe_texts  # noqa: E402

SENTENCES, DEV, BATCH, EPOCHS, ROUNDS = 640, 64, 32, 5, 2
ALL, ONE, MIX = ["layers", "mixes"], ["layer.5"], ["mix.12"]
STEPS = SENTENCES // BATCH
RECIPE = EdgeProbeRecipe(batch_size=BATCH, validate_every=STEPS, max_validations=EPOCHS)


@pytest.fixture(scope="module", params=[384], ids=["d384"])
def encoder(request, tmp_path_factory):
    from transformers import AutoTokenizer, BertConfig, BertModel

    try:
        tokenizer = AutoTokenizer.from_pretrained(demo_models()[0])
    except MissingExtraError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    width, folder = request.param, tmp_path_factory.mktemp("bert")
    heads = {"num_attention_heads": width // 64, "intermediate_size": 4 * width}
    BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=width, **heads)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_encoder(folder, device="cpu")


@pytest.fixture(scope="module")
def records():
    parsed = [json.loads(line) for line in edge_probing_records(generate_sentences(SENTENCES + DEV), "dependencies")]
    return parsed[:SENTENCES], parsed[SENTENCES:]


def seconds(function, *arguments, **options):
    started = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - started


def extracted(encoder, records, folder):
    names = ("train", "dev")
    return [
        (extract(encoder, probe_texts(part), out=folder / name, progress=False), part)
        for name, part in zip(names, records, strict=True)
    ]


def probe(splits, members, recipe=RECIPE):
    (store, train), dev = splits
    return fit_edge_probes(store, train, dev=dev, members=members, recipe=recipe, progress=False)


def steps_alone(splits, members):
    """Seconds per step, from the difference between 3 * STEPS and STEPS steps, each with one small validation."""
    few = RECIPE.but(max_validations=1, dev_sentences=1)
    taken = [seconds(probe, splits, members, few.but(validate_every=n * STEPS)) for n in (1, 3)]
    return (taken[1] - taken[0]) / (2 * STEPS)


def encoder_epoch(encoder, records):
    """Run the encoder on every training sentence once, in random batches, with the output of all layers."""
    texts = np.array([record["text"] for record in records[0]])
    for chosen in np.split(np.random.default_rng(0).permutation(len(texts)), STEPS):
        batch = encoder.tokenizer(texts[chosen].tolist(), padding=True, return_tensors="pt")
        with torch.no_grad():
            encoder.module(batch["input_ids"], batch["attention_mask"], output_hidden_states=True)


def test_probing_all_layers(benchmark, encoder, records, tmp_path_factory):
    splits = extracted(encoder, records, tmp_path_factory.mktemp("warm"))
    measured = {name: [] for name in ("extraction", "one", "mix", "encoder", "one step", "step")}

    def others():
        measured["extraction"].append(seconds(extracted, encoder, records, tmp_path_factory.mktemp("store")))
        measured["one"].append(seconds(probe, splits, ONE))
        measured["mix"].append(seconds(probe, splits, MIX))
        measured["encoder"].append(seconds(encoder_epoch, encoder, records))
        for name, members in (("one step", ONE), ("step", ALL)):
            measured[name].append(steps_alone(splits, members))

    benchmark.pedantic(probe, (splits, ALL), setup=others, rounds=ROUNDS)
    taken = {name: median(values) for name, values in measured.items()}
    extraction, every = taken["extraction"], benchmark.stats.stats.median
    n_layers = len(splits[0][0].layers)
    epochs = 2 * n_layers * EPOCHS
    naive = epochs * taken["encoder"] + n_layers * (taken["one"] + taken["mix"])
    report(
        benchmark,
        width=splits[0][0].widths["layer.5"],
        epochs=EPOCHS,
        step_ms=1e3 * taken["step"],
        one_layer_step_ms=1e3 * taken["one step"],
        step=taken["step"] / taken["one step"],
        one_by_one=n_layers * (taken["one"] + taken["mix"]) / every,
        extraction_s=extraction,
        probing_s=extraction + every,
        probing=(extraction + every) / (extraction + taken["one"]),
        counted_epochs=epochs,
        naive_s=naive,
        naive=naive / (extraction + every),
    )
