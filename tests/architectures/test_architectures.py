"""Every cell of docs/architectures.md: those of some families here, of all families by `make models`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import transformers

from pyrepsim.core.errors import PyrepsimError
from tests.helpers.architectures import OTHER_MODELS, TEXT_MODELS

from . import item_checks, text_checks
from .families import COLUMNS, FAMILIES, IN_CI
from .page import PAGE, replace_table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own
CHECKED = FAMILIES if os.environ.get("PYREPSIM_FAMILIES") == "all" else IN_CI


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", CHECKED)
def test_a_cell_works_or_is_refused_with_the_reason_of_the_page(name: str, column: str, tmp_path: Path):
    family = FAMILIES[name]
    classes = TEXT_MODELS.get(name) or OTHER_MODELS.get(name)
    if classes is not None and not hasattr(transformers, f"{classes[0]}Config"):
        pytest.skip(f"transformers {transformers.__version__} has no {classes[0]}Config")
    check = (text_checks if family.is_text else item_checks).CHECKS[column]
    if (reason := family.refused.get(column)) is None:
        check(family, tmp_path)
        return
    with pytest.raises(PyrepsimError, match=re.escape(reason)):
        check(family, tmp_path)


def test_the_page_is_current():
    text = PAGE.read_text(encoding="utf-8")
    assert replace_table(text) == text, "run python -m tests.architectures --write"


def test_every_model_has_a_row_and_every_kind_is_tested_here():
    assert {*TEXT_MODELS, *OTHER_MODELS} <= FAMILIES.keys()
    assert {FAMILIES[name].kind for name in IN_CI} == {family.kind for family in FAMILIES.values()}
    assert len(FAMILIES) >= 30
