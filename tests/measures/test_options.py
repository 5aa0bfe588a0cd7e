"""Options of measures: their types, and messages about them."""

from __future__ import annotations

from dataclasses import make_dataclass

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
    with pytest.raises(OptionError, match="Did you mean KernelCKA or LinearCKA"):
        rs.parse_measure("cka")
