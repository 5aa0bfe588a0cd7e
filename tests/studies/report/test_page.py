"""The report's page: complete, in one file, escaped, reproducible, with a list of what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pyrepsim.core.errors import OptionError, StoreError
from pyrepsim.studies.report import FIGURES, study_report
from pyrepsim.studies.report.rows import read_study
from tests.helpers.html_reader import HTMLReader
from tests.studies.study_rows import claims, study, study_rows, write_study


def sparse(**changes) -> list[dict]:
    """One task, one seed, no intervals: a handful of rows."""
    kept = ("finetuning", "similarity", "freezing")
    rows = [row for row in study_rows(("mnli",), layers=2, seeds=1) if row["experiment"] in kept]
    return [row | {"low": None, "high": None, "band": None, **changes} for row in rows if row["kind"] == "value"]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Everything, of two layers: the page alone."""
    folder = write_study(tmp_path_factory.mktemp("study"), study_rows(layers=2))
    return study_report(folder, formats=()).page


@pytest.fixture(scope="module")
def reader(page: Path) -> HTMLReader:
    return HTMLReader(page.read_text(encoding="utf-8"))


def test_every_figure_is_on_the_page_with_a_caption_and_a_name(reader: HTMLReader):
    assert [figure["id"] for figure in reader.named("figure")] == sorted(
        FIGURES, key=[figure["id"] for figure in reader.named("figure")].index
    )
    assert len(reader.named("figcaption")) == len(FIGURES)
    drawn = [svg for svg in reader.named("svg") if svg.get("role") == "img"]
    assert len(drawn) >= len(FIGURES)
    assert all(svg["aria-label"] for svg in drawn)
    assert all(svg.get("aria-hidden") for svg in reader.named("svg") if svg not in drawn)


def test_the_claims_are_first_and_link_to_their_figures(reader: HTMLReader, page: Path):
    for verdict in ("✓ holds", "✗ does not hold", "? undecided", "– not tested"):
        assert verdict in reader.text
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    links = [a["href"] for a in reader.named("a") if a["href"].startswith("#")]
    assert {link[1:] for link in links} <= ids
    assert {f"#{claim['figure']}" for claim in claims()} <= set(links)
    text = page.read_text(encoding="utf-8")
    assert text.index('id="claims"') < text.index('id="section-scores"')
    assert "+0.312 [+0.272, +0.362] RSA" in reader.text
    assert "−0.62 [−0.66, −0.57] F1 (points)" in reader.text


def test_ids_are_unique(reader: HTMLReader):
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert sorted(set(ids)) == sorted(ids)
    used = set(re.findall(r"url\(#([^)]+)\)", " ".join(str(attrs) for _, attrs in reader.tags)))
    used |= {attrs["xlink:href"][1:] for tag, attrs in reader.tags if tag == "use"}
    assert used <= set(ids)


def test_the_page_has_no_scripts_and_loads_nothing(page: Path, reader: HTMLReader):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b|@import|@font-face|url\((?!#)", text)
    assert not re.search(r'\bsrc="|\bon\w+="', text)
    outside = [a["href"] for a in reader.named("a") if not a["href"].startswith("#")]
    assert all(
        re.match(r"https://(arxiv\.org|doi\.org|aclanthology\.org|ieeexplore\.ieee\.org)/", link) for link in outside
    )
    inside = ("#", "data:image/png;base64,")  # the colours beside a heat map
    assert all(attrs.get("xlink:href", "#").startswith(inside) for _, attrs in reader.tags)


def test_tables_are_accessible(reader: HTMLReader):
    assert all(cell.get("scope") for cell in reader.named("th"))
    scrolled = [div for div in reader.named("div") if div.get("class") == "wide"]
    assert scrolled
    assert all(div["tabindex"] == "0" and div["role"] == "region" and div["aria-label"] for div in scrolled)


def test_figures_take_the_colours_of_the_page(page: Path):
    text = page.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    for name in ("ink", "paper", "grid", "c0", "c1", "c2"):
        assert re.search(rf"(fill|stroke): var\(--{name}, #", text), name
        assert text.count(f"--{name}: #") == 3, "light, dark and print"
    bare = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text.replace("#262626", "")))
    assert not bare & {"#ffffff", "#000000", "#1b1b1b", "#0072b2"}


def test_the_page_describes_what_was_run(reader: HTMLReader, page: Path):
    digest = read_study(page.parents[1]).digest
    for needed in (
        "bert-base-uncased, an encoder of 2 blocks, was fine-tuned on MNLI, SQuAD and parsing (2 seeds each)",
        "merchant2020 at the scale paper",
        "Procrustes [Ding et al. 2021]",
        "Hewitt & Manning 2019",
        "2.13.0",
        "77be0a1290cc1f52",
        "finetuning 2 done 1 h 43 min",
        "CUDA out of memory",
        "edge/base-pos blocked",
        digest,
    ):
        assert needed in reader.text, needed
    assert "Not run" not in reader.text


def test_missing_results_are_listed(tmp_path: Path):
    rows = [*sparse(), *sparse(experiment="phrenology")]
    made = study_report(write_study(tmp_path, rows, study=None, claims=None), formats=())
    reader = HTMLReader(made.page.read_text(encoding="utf-8"))
    assert [figure["id"] for figure in reader.named("figure")] == [
        "scores_by_task", "similarity_by_layer", "similarity_measures", "freezing",
    ]  # fmt: skip
    assert set(made.missing) == FIGURES.keys() - {figure["id"] for figure in reader.named("figure")}
    assert "Sections without rows: In and out of domain, Edge probes, Structural probes" in reader.text
    assert "phrenology (" in reader.text
    assert "No bands: the rows have no intervals." in reader.text
    assert "Hewitt" not in reader.text
    assert not any(section.get("id") == "claims" for section in reader.named("section"))


def test_equal_rows_make_equal_pages(tmp_path: Path):
    rows = [row for row in sparse() if row["experiment"] != "similarity"]
    texts = []
    for name in ("a", "b"):
        made = study_report(write_study(tmp_path / name, rows), formats=("svg", "csv", "tex"))
        texts.append({path.relative_to(tmp_path / name): path.read_bytes() for path in (made.page, *made.files)})
    assert texts[0] == texts[1]
    other = study_report(write_study(tmp_path / "c", [*rows[:-1], rows[-1] | {"value": 0.5}]), formats=()).page
    assert other.read_bytes() != texts[0][Path("report/index.html")]


def test_everything_is_escaped(tmp_path: Path):
    hostile = '"><img src=x onerror=alert(1)>'
    rows = sparse(task=hostile, model=hostile, metric=hostile, corpus=hostile, band=hostile, low=0.1, high=0.9)
    described = study() | {"study": hostile, "scale": hostile, "versions": {hostile: hostile}, "digests": [hostile]}
    described["cells"] = [{"experiment": hostile, "name": hostile, "state": "failed", "error": hostile}, hostile, 3]
    verdicts = [dict.fromkeys(("claim", "statement", "verdict", "why", "rule", "figure", "unit"), hostile)]
    verdicts[0]["tasks"] = [{"task": hostile, "verdict": hostile, "why": hostile}]
    made = study_report(write_study(tmp_path, rows, study=described, claims=verdicts), formats=("csv",), title=hostile)
    reader = HTMLReader(made.page.read_text(encoding="utf-8"))
    assert not reader.named("img")
    assert not any(key.startswith("on") for _, attrs in reader.tags for key in attrs)
    assert hostile in reader.text


def test_formats_choose_the_files(tmp_path: Path):
    folder = write_study(tmp_path, [row for row in sparse() if row["experiment"] == "freezing"])
    made = study_report(folder, formats="png,csv")
    assert sorted(path.relative_to(folder / "report").as_posix() for path in made.files) == [
        "figures/freezing.png", "tables/claims.csv", "tables/freezing.csv",
    ]  # fmt: skip
    with pytest.raises(OptionError, match=r"formats of a report are svg, .*: got docx"):
        study_report(folder, formats=("svg", "docx"))
    with pytest.raises(StoreError, match="has none"):
        study_report(tmp_path / "nothing")


def test_a_study_without_rows_has_a_page(tmp_path: Path):
    reader = HTMLReader(study_report(write_study(tmp_path, []), formats=()).page.read_text(encoding="utf-8"))
    assert "Not run" in reader.text
    assert reader.named("figure") == []


def test_trainings_with_which_something_is_wrong_are_listed(tmp_path: Path):
    row = {**sparse()[0], "experiment": "truncation", "task": "mnli", "seed": 0, "k": 6, "kind": "fact"}
    fact = {**row, "metric": "constant pooled vector", "value": 1.0, "member": "The vector is <constant>."}
    folder = write_study(tmp_path, [*sparse(), fact])
    text = HTMLReader(study_report(folder, formats=()).page.read_text(encoding="utf-8")).text
    assert "Trainings to look at" in text
    assert "truncation, MNLI, seed 0, k 6" in text
    assert "The vector is <constant>." in text
    plain = study_report(write_study(tmp_path / "plain", sparse()), formats=()).page.read_text(encoding="utf-8")
    assert "Trainings to look at" not in plain
