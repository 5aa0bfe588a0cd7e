"""Options of measures: their types, and messages about them."""

from __future__ import annotations

import pickle
from dataclasses import make_dataclass, replace

import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError


def test_options_are_checked_whether_annotations_are_types_or_text():
    # A private name, so that the class is not listed among the measures.
    kind = make_dataclass("_Scaled", [("power", float, 1.0)], bases=(rs.LinearCKA,), frozen=True)
    assert kind(power=2).power == 2.0
    with pytest.raises(OptionError, match="LinearCKA: power must be of type float: got 'two'"):
        kind(power="two")


def test_messages_name_the_public_class():
    with pytest.raises(OptionError, match="^RSA: compare must be one of"):
        rs.RSA(metric="euclidean", compare="nothing")


def test_every_near_name_is_suggested():
    with pytest.raises(OptionError, match="Did you mean DocumentCKA or KernelCKA or LinearCKA"):
        rs.parse_measure("cka")


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({}, {"compare": "kendall"}),
        ({"compare": "kendall"}, {"compare": "pearson"}),
        ({"compare": "spearman"}, {"sample": 20}),
        ({}, {"method": "tiles"}),
    ],
)
def test_an_rsa_with_one_option_replaced_is_the_rsa_with_these_options(before, changes):
    replaced, direct = replace(rs.RSA(**before), **changes), rs.RSA(**{**before, **changes})
    assert (type(replaced), replaced) == (type(direct), direct)
    copied = pickle.loads(pickle.dumps(replaced))
    assert (type(copied), copied) == (type(direct), direct)
