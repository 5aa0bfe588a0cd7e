"""Every example in a docstring runs and prints what it shows; hub ids come from a stand-in of the hub."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
from pathlib import Path

import pytest

import pyrepsim as rs
from tests.helpers import stand_in_hub

PACKAGE = Path(rs.__file__).parent
WITHOUT_LIBRARY = tuple(f"pyrepsim.integrations.{name}" for name in ("calibrated_similarity", "mteb", "thingsvision"))
"""Integrations whose examples do not need the library."""
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples() -> list[str]:
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]
    names = [".".join(("pyrepsim", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in files]
    return [name.removesuffix(".__init__") for name in names]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory):
    """The stand-in models, in the cache that conftest.py gave to this process."""
    cache = Path(os.environ["HF_HUB_CACHE"])
    stand_in_hub.fill_cache(cache)
    yield
    stand_in_hub.empty_cache(cache)


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_run(module: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch):
    if module.startswith("pyrepsim.integrations.") and module not in WITHOUT_LIBRARY:
        pytest.importorskip(module.rpartition(".")[2])  # the library of the integration
    if "bert-base-uncased" in inspect.getsource(importlib.import_module(module)):
        pytest.importorskip("transformers")
        request.getfixturevalue("hub")
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report: list[str] = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module)):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_every_public_function_and_class_has_an_example():
    public = {name: getattr(rs, name) for name in rs.__all__}
    assert [name for name, item in public.items() if callable(item) and ">>>" not in (inspect.getdoc(item) or "")] == []
