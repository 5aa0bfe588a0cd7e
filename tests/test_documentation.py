"""The README and docs are true: Python runs as written and prints what is shown, commands and links exist.

A ```python fence followed at once by a ```text fence shows its output. The fences of a page share one namespace and
run in one process. ```python hub marks a fence with hub ids; a stand-in for the hub serves them. ```python needs=NAME
marks a fence that needs a library which the tests do without; its page runs where that library is installed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pyrepsim as rs
from pyrepsim.cli.main import COMMANDS
from pyrepsim.cli.parsing import parse
from pyrepsim.measures import Invariance
from tests.helpers import stand_in_hub
from tests.helpers.run_fences import Fence, fences

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md"), *(ROOT / "docs").rglob("*.md")])
HAS_STUDIES = find_spec("pyrepsim.studies") is not None  # the library works without them
for optional in ("studies", "integrations"):
    if find_spec(f"pyrepsim.{optional}") is None:
        PAGES = [page for page in PAGES if optional not in page.relative_to(ROOT).with_suffix("").parts]
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
MOST_HUB_FENCES = 6
MOST_README_LINES = 150


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def python_fences(path: Path) -> list[Fence]:
    return [fence for fence in fences(path.read_text(encoding="utf-8")) if fence.language == "python"]


def assert_same_output(written: str, shown: str, where: str) -> None:
    """Equal text, but for the last digit of decimal numbers; shown numbers have at most four decimals."""
    assert [line.rstrip() for line in _NUMBER.sub("#", written).strip().splitlines()] == [
        line.rstrip() for line in _NUMBER.sub("#", shown).strip().splitlines()
    ], f"{where} prints\n{written}"
    for ours, theirs in zip(_NUMBER.findall(written), _NUMBER.findall(shown), strict=True):
        decimals = len(theirs.partition(".")[2].partition("e")[0])
        assert decimals <= 4, f"{where} shows {theirs}: at most four decimals are compared"
        assert abs(float(ours) - float(theirs)) <= 1.5 * 10.0**-decimals, f"{where} prints {ours}, shows {theirs}"


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("hub")
    stand_in_hub.fill_cache(cache)
    return cache


@pytest.mark.parametrize("page", [page for page in PAGES if python_fences(page)], ids=page_id)
def test_python_runs_as_written_and_prints_what_is_shown(page: Path, request, tmp_path: Path):
    shown = python_fences(page)
    environment = {**os.environ, "COLUMNS": "100"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    for library in {word.removeprefix("needs=") for fence in shown for word in fence.words if "needs=" in word}:
        if find_spec(library.partition(".")[0]) is None or find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    if any("hub" in fence.words for fence in shown):
        pytest.importorskip("transformers")
        environment["HF_HUB_CACHE"] = str(request.getfixturevalue("hub_cache"))
    command = [sys.executable, "-m", "tests.helpers.run_fences", str(page)]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    outputs = json.loads(ran.stdout.splitlines()[-1])
    for fence, written in zip(shown, outputs, strict=True):
        if fence.shown is not None:
            assert_same_output(written, fence.shown, f"{page_id(page)}:{fence.line}")


def test_at_most_six_fences_need_the_hub_and_are_marked():
    marked = [fence for page in PAGES for fence in python_fences(page) if "hub" in fence.words]
    unmarked = [fence for page in PAGES for fence in python_fences(page) if "hub" not in fence.words]
    assert len(marked) <= MOST_HUB_FENCES
    assert not [fence for fence in unmarked if "bert-base" in fence.text]


def test_the_readme_fits_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_are_accepted(page: Path):
    for fence in fences(page.read_text(encoding="utf-8")):
        if fence.language in ("sh", "bash", "console"):
            for line in fence.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["pyrepsim"] and (HAS_STUDIES or words[1] not in ("study", "report")):
                    assert parse(COMMANDS, words[1:])


SHOWN = [
    rs.CCA(),
    rs.SVCCA(),
    rs.PWCCA(),
    rs.LinearCKA(),
    rs.RV2(),
    rs.KernelCKA(),
    rs.DistanceCorrelation(),
    rs.DocumentCKA(),
    rs.DocumentCKA(sampled_features=True),
    rs.DocumentRSA(),
    rs.DocumentRSA(metric="correlation"),
    rs.Procrustes(),
    rs.ShapeMetric(alpha=0.5),
    rs.LinearPredictivity(),
    rs.GULP(),
    rs.MaxCorrelation(),
    rs.Matching(),
    rs.EigenspaceOverlap(),
    rs.MutualKNN(),
    rs.MutualKNN(metric="euclidean"),
    rs.JaccardKNN(),
    rs.RankSimilarity(),
    rs.CycleKNN(),
    rs.CKNNA(),
    rs.SecondOrderCosine(),
    rs.Uniformity(),
    rs.Concentricity(),
    rs.Magnitude(),
    rs.MetricSpaceMagnitude(),
    *(rs.RSA(metric=metric) for metric in ("cosine", "correlation", "euclidean", "manhattan", "mahalanobis", "dot")),
]


def truth_table() -> str:
    """Markdown: one row a measure, x / y side; what tests/measures/test_invariances.py checks."""
    kinds = list(Invariance)
    lines = [
        "| measure | " + " | ".join(k.name.lower() for k in kinds) + " | symmetric |",
        "| --- |" + " :-: |" * (len(kinds) + 1),
    ]
    for measure in SHOWN:
        cells = []
        for kind in kinds:
            x, y = ("✓" if kind in side else "–" for side in (measure.invariant_x, measure.invariant_y))
            cells.append(x if x == y else f"{x} / {y}")
        lines.append(f"| `{measure}` | " + " | ".join(cells) + f" | {'✓' if measure.symmetric else '–'} |")
    return "\n".join(lines)


def test_the_table_of_invariances_is_the_declarations():
    page = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- invariances -->\n(.*?)\n<!-- /invariances -->", page, re.DOTALL)
    assert table is not None, "docs/measures.md needs the markers <!-- invariances --> and <!-- /invariances -->"
    assert table.group(1).strip() == truth_table(), f"paste this between the markers:\n{truth_table()}"


def test_every_public_name_is_there():
    for name in rs.__all__:
        assert getattr(rs, name) is not None
    assert set(rs.__all__) <= set(dir(rs))
    with pytest.raises(AttributeError, match="attribute"):
        rs.no_such_name  # noqa: B018
