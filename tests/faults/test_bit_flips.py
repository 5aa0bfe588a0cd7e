"""A sample of `tests.faults.bit_flips`, which damages every file that work is resumed from."""

from __future__ import annotations

import pytest

from tests.faults.bit_flips import KINDS, trials


@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_state_is_taken_for_another_one(name: str):
    n = 12 if name == "study" else 40
    found = trials(KINDS[name](), n, seed=7)
    assert found["TAKEN"] == found["FOREIGN"] == 0
    assert found["set aside"] + found["refused"] >= n / 4
