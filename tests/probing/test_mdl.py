"""Description lengths of labels with known entropy, and control tasks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyrepsim.core.errors import DegenerateError, OptionError, StoreError, TextError
from pyrepsim.probing import mdl
from pyrepsim.probing.controls import control_records, selectivity
from pyrepsim.probing.edge import fit_edge_probes
from pyrepsim.probing.mdl import CODE_RECIPE, fit_online_codes
from tests.helpers.probe_data import store_of

LABELS = ("A", "B", "C", "D")
N_SENTENCES, N_WORDS, NOISE = 250, 20, 0.3
LINEAR = CODE_RECIPE.but(projection=None, family="linear", learning_rate=0.03)


def coded(path, rng, n_sentences, *, labels=LABELS, layers=("signal", "noise")):
    """Layer "signal" has the code of a class, which is the label but for noise; layer "noise" knows nothing."""
    texts = [["w0"] * N_WORDS for _ in range(n_sentences)]
    classes = rng.integers(len(labels), size=(n_sentences, N_WORDS))
    moved = rng.random(classes.shape) < NOISE
    said = np.where(moved, (classes + rng.integers(1, len(labels), size=classes.shape)) % len(labels), classes)
    vectors = {"signal": np.eye(len(labels))[classes] * 2, "noise": rng.normal(size=(*classes.shape, len(labels)))}
    zero = np.zeros(len(labels))

    def states(place, document, word):
        return vectors[layers[place]][document, word] if word >= 0 else zero

    records = [
        {"text": " ".join(words), "targets": [{"span1": [i, i + 1], "label": labels[k]} for i, k in enumerate(row)]}
        for words, row in zip(texts, said, strict=True)
    ]
    return store_of(path, texts, states, layers=layers), records


def test_the_code_length_is_near_the_entropy_and_noise_is_not_compressed(tmp_path, rng):
    """Entropy of a label given its class: of (1 - NOISE, and NOISE shared by the three others)."""
    train, dev = coded(tmp_path / "train", rng, N_SENTENCES), coded(tmp_path / "dev", rng, 40)
    found = fit_online_codes(*train, dev=dev, recipe=LINEAR, texts=None, progress=False)
    entropy = -(1 - NOISE) * math.log2(1 - NOISE) - NOISE * math.log2(NOISE / 3)
    n_targets = N_SENTENCES * N_WORDS
    signal, noise = found.records
    assert signal.uniform_bits == n_targets * 2
    assert signal.bits == pytest.approx(n_targets * entropy, rel=0.05)
    assert signal.bits > n_targets * entropy * 0.97
    assert 0.9 < found.compression("noise") <= 1.02
    assert sum(signal.blocks) == pytest.approx(signal.bits)
    c = [found.compression("signal"), found.compression("noise")]
    assert found.centre_of_gravity == pytest.approx(c[1] / sum(c))
    assert "centre of gravity" in found.table()
    assert found.to_csv(tmp_path / "codes.csv").read_text().count("\n") == 3
    assert noise.kbits == noise.bits / 1024


def test_with_the_sigmoid_loss_pairs_of_target_and_label_are_coded(tmp_path, rng):
    train, dev = coded(tmp_path / "train", rng, 12), coded(tmp_path / "dev", rng, 5)
    recipe = LINEAR.but(loss="sigmoid", max_validations=2)
    found = fit_online_codes(*train, dev=dev, recipe=recipe, members="signal", fractions=[0.3, 1], progress=False)
    assert found.records[0].uniform_bits == 12 * N_WORDS * len(LABELS)
    assert len(found.records[0].blocks) == 2
    assert found.records[0].blocks[0] == 4 * N_WORDS * len(LABELS)  # 0.3 of the targets are reached with sentence 4
    assert math.isnan(found.centre_of_gravity)


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_an_interrupted_code_resumes_after_its_last_block(tmp_path, rng, monkeypatch, killed_after):
    """Blocks that were coded are not trained again, and the numbers are those of an uninterrupted call."""
    train, dev = coded(tmp_path / "train", rng, 24), coded(tmp_path / "dev", rng, 5)
    options = {
        "dev": dev,
        "recipe": LINEAR.but(max_validations=2),
        "fractions": [0.1, 0.2, 0.5, 1.0],
        "progress": False,
    }
    whole = fit_online_codes(*train, **options)
    trained = []

    def counted(*args):
        if len(trained) == killed_after and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        trained.append(args)
        return block_bits(*args)

    block_bits = mdl._block_bits
    monkeypatch.setattr(mdl, "_block_bits", counted)
    with pytest.raises(KeyboardInterrupt):
        fit_online_codes(*train, **options, out=tmp_path / "out")
    assert len(trained) == killed_after
    (tmp_path / "again").touch()
    resumed = fit_online_codes(*train, **options, out=tmp_path / "out")
    assert len(trained) == 3
    assert resumed == whole
    with pytest.raises(StoreError, match="differs in"):
        fit_online_codes(*train, **options | {"fractions": [0.1, 1.0]}, out=tmp_path / "out")


def test_codes_that_cannot_be_computed(tmp_path, rng):
    train, dev = coded(tmp_path / "train", rng, 6), coded(tmp_path / "dev", rng, 3)
    for fractions in ([0.5, 0.2, 1.0], [0.5], [0.0, 1.0], []):
        with pytest.raises(OptionError, match="fractions must rise"):
            fit_online_codes(*train, dev=dev, fractions=fractions)
    one = [{**r, "targets": [{**t, "label": "A"} for t in r["targets"]]} for r in train[1]]
    with pytest.raises(DegenerateError, match="two labels"):
        fit_online_codes(train[0], one, dev=dev)
    several = [{**r, "targets": [{**t, "label": ["A", "B"]} for t in r["targets"]]} for r in train[1]]
    with pytest.raises(OptionError, match="one label per target: train"):
        fit_online_codes(train[0], several, dev=dev)


def test_control_labels_belong_to_types(rng):
    words = [f"w{i}" for i in range(400)]

    def record(text, *labels):
        return {"text": text, "targets": [{"span1": [i, i + 1], "label": label} for i, label in enumerate(labels)]}

    pairs = zip(words, reversed(words), strict=True)
    train = [record(f"{a} {b}", "X" if i % 4 else "Y", "X") for i, (a, b) in enumerate(pairs)]
    held = [record("w3 new", "X", "X")]
    control, control_held = control_records(train, held, seed=1)
    label_of: dict[str, set[str]] = {}
    for record in control + control_held:
        for target, word in zip(record["targets"], record["text"].split(), strict=True):
            label_of.setdefault(word, set()).add(target["label"][0])
    assert all(len(labels) == 1 for labels in label_of.values())
    share = np.mean([labels == {"Y"} for labels in label_of.values()])
    assert 0.06 < share < 0.19  # one in eight in the task
    assert train[0]["targets"][0]["label"] == "Y", "the task itself is left as it was"
    assert control_records(train, held, seed=1)[0] == control
    assert control_records(train, held, seed=2)[0] != control
    with pytest.raises(TextError, match="no targets"):
        control_records([])


def test_selectivity_is_task_minus_control(tmp_path, rng):
    train, dev = coded(tmp_path / "train", rng, 20), coded(tmp_path / "dev", rng, 10)
    recipe = LINEAR.but(validate_every=10, max_validations=4)
    control_train, control_dev = control_records(train[1], dev[1])
    task = fit_edge_probes(*train, dev=dev, members="layers", recipe=recipe, progress=False)
    control = fit_edge_probes(
        train[0], control_train, dev=(dev[0], control_dev), members="signal", recipe=recipe, progress=False
    )
    (found,) = selectivity(task, control)
    assert found.selectivity == task.f1("signal") - control.f1("signal")
    assert control.f1("signal") == 1  # there is one type
