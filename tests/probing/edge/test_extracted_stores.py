"""From a model and records to scores: extraction, alignment and the lexical baseline together."""

from __future__ import annotations

import pytest

from pyrepsim.core.errors import RowMismatchError
from pyrepsim.extraction import extract
from pyrepsim.models import load_encoder
from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes, probe_texts
from tests.helpers.tiny_models import tiny_bert

WORDS = ["keys", "cabinet", "unplayable", "river", "the", "plays"]


def records(n, shift):
    """Sentences of three words, the first and the last labelled by themselves; every text twice, as in SRL."""
    found = []
    for i in range(n):
        words = [WORDS[(i + shift + k) % 6] for k in (0, 1, 3)]
        for k in (0, 2):
            target = {"span1": [k, k + 1], "label": words[k]}
            found.append({"text": " ".join(words), "targets": [target], "info": {"where": f"frames:{i}"}})
    return found


def test_probes_on_extracted_stores(tmp_path):
    encoder = load_encoder(tiny_bert(tmp_path / "bert"), device="cpu")
    train, dev = records(6, 0), records(3, 1)
    stores = [
        extract(encoder, probe_texts(part), out=tmp_path / name, progress=False)
        for name, part in (("train", train), ("dev", dev))
    ]
    recipe = EdgeProbeRecipe(
        projection=16, hidden=16, batch_size=4, learning_rate=0.03, dropout=0.0, validate_every=20, max_validations=4
    )
    found = fit_edge_probes(stores[0], train, dev=(stores[1], dev), lex=encoder, recipe=recipe, progress=False)
    assert [member.name for member in found.members] == [
        *("embeddings", "layer.0", "layer.1", "lex"),
        *("mix.0", "mix.1", "mix.2"),
    ]
    assert not any(found.findings.values())
    assert found.f1("lex") == 1  # the label is the word
    with pytest.raises(RowMismatchError, match="other documents"):
        fit_edge_probes(stores[1], train, dev=(stores[1], dev))
