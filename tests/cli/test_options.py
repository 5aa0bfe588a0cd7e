"""The small languages of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.cli.options import bytes_in_words, layer_option, output_files, split_measures
from pyrepsim.errors import OptionError


def test_layers():
    assert layer_option("all") == "all"
    assert layer_option("embeddings, layer.8") == ["embeddings", "layer.8"]
    assert layer_option("a:b,c", pairs=True) == [("a", "b"), ("c", "c")]
    with pytest.raises(OptionError, match="Layers are names"):
        layer_option(" , ")


@pytest.mark.parametrize(
    "given", ["RSA(metric='dot', compare='cosine'), CCA,", ["RSA(metric='dot', compare='cosine')", "CCA"]]
)
def test_measures_are_split_outside_parentheses(given):
    assert split_measures(given) == ["RSA(metric='dot', compare='cosine')", "CCA"]


def test_files_by_their_endings():
    assert output_files("a/s.CSV, f.svg") == {Path("a/s.CSV"): "to_csv", Path("f.svg"): "plot"}
    assert output_files(None) == {}
    with pytest.raises(OptionError, match=r"must end in one of \.csv.*: got a\.doc"):
        output_files(["a.doc"])


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (153_600_000, "154 MB"),
        (999_999, "1 MB"),
        (2e15, "2e+03 TB"),
    ],
)
def test_sizes_have_three_digits(n_bytes: float, words: str):
    assert bytes_in_words(n_bytes) == words
