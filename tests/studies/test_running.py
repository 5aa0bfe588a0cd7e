"""The runner on toy cells: each runs once, also after kills, failures, changes, and with several workers."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError, StoreError
from pyrepsim.core.resume import read_record, write_record
from pyrepsim.studies.runner import COLUMNS, Cell, Study, plan_study, run_study, study_status
from pyrepsim.studies.runner.folder import StudyFolder
from tests.studies.toy_study import calls, toy_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The rows of a study that was not interrupted."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert run_study(toy_study(), out=out).complete
    return (out / "rows.jsonl").read_bytes()


def worker(out: Path, share: str = "0/1") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.studies.toy_study", str(out), share]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def traces(out: Path) -> int:
    return sum(calls(out).values()) + len(list(out.rglob("*.step")))


def cell_folder(out: Path, name: str) -> Path:
    (folder,) = out.glob(f"cells/*/{name}-*")
    return folder


def test_rows_have_the_columns_in_the_order_of_the_study(tmp_path: Path, expected: bytes):
    rows = [json.loads(line) for line in expected.splitlines()]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert [row["experiment"] for row in rows] == ["source", *["steps"] * 20, "total"]
    assert rows[-1]["value"] == pytest.approx(5 * 2 * (0 + 1 + 2 + 3) + 4 * 1.0)
    assert rows[0]["kind"] == "value"
    assert rows[-1]["kind"] == "aggregate"
    assert rows[0]["confidence"] is None


def test_a_second_run_does_nothing(tmp_path: Path, expected: bytes):
    first = run_study(toy_study(), out=tmp_path)
    assert len(first.ran) == 6
    assert len(first.rows()) == 22
    again = run_study(toy_study(), out=tmp_path)
    assert again.complete
    assert again.ran == ()
    assert set(calls(tmp_path).values()) == {1}
    assert (tmp_path / "rows.jsonl").read_bytes() == expected


@pytest.mark.parametrize("seed", range(2))
def test_the_rows_are_the_same_after_being_killed_repeatedly(tmp_path: Path, expected: bytes, seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(3):
        before, running = traces(tmp_path), worker(tmp_path)
        until = time.monotonic() + 30
        while traces(tmp_path) == before and running.poll() is None and time.monotonic() < until:
            time.sleep(0.005)  # kill it while it works, not while it imports
        time.sleep(rng.uniform(0.0, 0.2))
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert run_study(toy_study(), out=tmp_path).complete
    assert (tmp_path / "rows.jsonl").read_bytes() == expected


def test_two_workers_share_the_cells_and_run_each_once(tmp_path: Path, expected: bytes):
    workers = [worker(tmp_path, "0/2"), worker(tmp_path, "1/2")]
    assert [w.wait(60) for w in workers] == [0, 0]
    assert set(calls(tmp_path).values()) == {1}
    assert len(calls(tmp_path)) == 6
    assert (tmp_path / "rows.jsonl").read_bytes() == expected


def test_a_failed_cell_stops_no_other_and_is_run_again(tmp_path: Path, expected: bytes):
    result = run_study(toy_study(broken=("step-1",)), out=tmp_path)
    assert result.states["steps/step-1"] == "failed"
    assert result.states["total/sum"] == "blocked"
    assert result.errors == {"steps/step-1": "RuntimeError: broken on purpose"}
    assert sum(state == "done" for state in result.states.values()) == 4
    record = json.loads((cell_folder(tmp_path, "step-1") / "cell.json").read_text())
    assert "broken on purpose" in record["traceback"][-1]
    assert "step-1: RuntimeError: broken on purpose" in study_status(tmp_path).table()
    mended = run_study(toy_study(), out=tmp_path)
    assert mended.complete
    assert set(mended.ran) == {"steps/step-1", "total/sum"}
    assert (tmp_path / "rows.jsonl").read_bytes() == expected


def test_a_changed_request_has_a_new_key_and_the_old_cells_stay(tmp_path: Path, expected: bytes):
    run_study(toy_study(), out=tmp_path)
    changed = run_study(toy_study(factor=3), out=tmp_path)
    assert len(changed.ran) == 6  # the need's key is part of the others'
    assert changed.rows()[0]["value"] == 3
    back = run_study(toy_study(), out=tmp_path)
    assert back.ran == ()
    assert (tmp_path / "rows.jsonl").read_bytes() == expected


def test_a_new_format_is_a_new_key():
    keys = [toy_study(format=k).keys() for k in (1, 2)]
    assert keys[0]["source/numbers"] != keys[1]["source/numbers"]
    assert keys[0]["total/sum"] != keys[1]["total/sum"]


def test_only_includes_needed_cells(tmp_path: Path):
    result = run_study(toy_study(), out=tmp_path, only=["steps"])
    assert set(result.states) == {"source/numbers", *(f"steps/step-{k}" for k in range(4))}
    with pytest.raises(OptionError, match="source, steps, total: got stops"):
        run_study(toy_study(), out=tmp_path, only=["stops"])


def test_an_interrupt_frees_the_cell_and_leaves_the_rest(tmp_path: Path):
    def interrupted(*_: object) -> list[dict[str, object]]:
        raise KeyboardInterrupt

    first = Cell(experiment="a", name="first", request={}, run=lambda *_: [{"value": 1.0}])
    second = Cell(experiment="a", name="second", request={}, run=interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(Study(name="s", cells=[first, second]), out=tmp_path)
    assert [cell["state"] for cell in study_status(tmp_path).cells] == ["done", "begun"]
    assert not list(tmp_path.rglob(".lock"))
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 1


def test_scratch_is_removed_when_no_longer_needed_and_made_again_for_a_new_cell(tmp_path: Path):
    def numbers() -> Path:
        return cell_folder(tmp_path, "numbers") / "numbers.txt"

    run_study(toy_study(scratch=("*.txt",)), out=tmp_path, only=["source"])
    assert numbers().exists()  # the others are not done
    run_study(toy_study(scratch=("numbers.txt",)), out=tmp_path)
    assert not numbers().exists()
    assert run_study(toy_study(scratch=("numbers.txt",)), out=tmp_path).ran == ()
    (numbers().parent / "left-over.txt").touch()
    more = run_study(toy_study(scratch=("numbers.txt",), n=5), out=tmp_path)
    assert not (numbers().parent / "left-over.txt").exists()  # it was made anew, not gone on with
    assert set(more.ran) == {"source/numbers", "steps/step-4", "total/sum"}
    assert more.complete
    assert not numbers().exists()


def test_scratch_is_dropped_by_one_of_several_workers(tmp_path: Path):
    plain, study = toy_study(), toy_study(scratch=("deep",))
    assert run_study(plain, out=tmp_path).complete
    source = StudyFolder(study, tmp_path).folder(study.cells[0])
    for _ in range(5):
        for number in range(300):
            (source / "deep" / str(number % 7)).mkdir(parents=True, exist_ok=True)
            (source / "deep" / str(number % 7) / f"{number}.npy").touch()
        record = read_record(source / "cell.json")
        assert record is not None
        write_record(source / "cell.json", **{**record, "dropped": False})
        with ThreadPoolExecutor(4) as workers:
            dropped = [workers.submit(StudyFolder(study, tmp_path).drop_scratch, study.cells) for _ in range(4)]
        assert [one.exception() for one in dropped] == [None] * 4
        assert not (source / "deep").exists()


def test_a_failing_judge_loses_no_rows(tmp_path: Path):
    cell = Cell(experiment="a", name="b", request={}, run=lambda *_: [{"value": 1.0}])
    judged = Study(name="s", cells=[cell], judge=lambda rows: [{"claim": "C", "n": len(rows)}])
    assert run_study(judged, out=tmp_path).claims() == [{"claim": "C", "n": 1}]
    wrong = Study(name="s", cells=[cell], judge=lambda rows: [rows[7]])
    assert run_study(wrong, out=tmp_path).claims() == []
    assert wrong.cells


@pytest.mark.parametrize("row", [{"valeu": 1.0}, {"value": float("nan")}, {"value": [1.0]}])
def test_an_invalid_row_fails_its_cell(tmp_path: Path, row: dict[str, object]):
    cell = Cell(experiment="a", name="b", request={}, run=lambda *_: [row])
    assert run_study(Study(name="s", cells=[cell]), out=tmp_path).states == {"a/b": "failed"}


def test_plan_and_status_show_what_is_left(tmp_path: Path):
    from pyrepsim.studies.runner import Cost

    plan = plan_study(toy_study(cost=lambda: Cost(120.0, 5_000_000)), out=tmp_path / "none")
    assert plan.seconds == 120
    assert plan.n_bytes == 5_000_000
    assert not (tmp_path / "none").exists()
    assert "6 of 6 cells are left: about 2 min, at most 5 MB on disk" in plan.table()
    run_study(toy_study(), out=tmp_path, only=["source"])
    assert "5 of 6 cells are left" in plan_study(toy_study(), out=tmp_path).table()
    assert "toy: 1 of 6 cells are done" in study_status(tmp_path).table()
    with pytest.raises(StoreError, match=r"holds study\.json"):
        study_status(tmp_path / "elsewhere")


def test_the_plan_counts_the_largest_temporary_space_once(tmp_path: Path):
    from pyrepsim.studies.runner import Cost

    cells = [
        Cell(experiment="a", name=f"cell{i}", request={}, run=lambda *_: [], cost=lambda i=i: Cost(1.0, 100 + i, i))
        for i in (10, 30, 20)
    ]
    assert plan_study(Study(name="s", cells=cells), out=tmp_path).n_bytes == 3 * 100 + 30


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="needs a folder: .*file is a file"):
        run_study(toy_study(), out=tmp_path / "file")


def test_invalid_studies_are_refused():
    def cell(**changed: object) -> Cell:
        return Cell(**{"experiment": "a", "name": "b", "request": {}, "run": lambda *_: [], **changed})

    for cells, complaint in [
        ([cell(), cell()], "two are 'a/b'"),
        ([cell(needs=("a/c",))], "needs a/c"),
        ([cell(name="../b")], "names of folders"),
    ]:
        with pytest.raises(OptionError, match=complaint):
            Study(name="s", cells=cells)
    with pytest.raises(OptionError, match="request of a cell must be JSON"):
        Study(name="s", cells=[cell(request={"x": object()})]).keys()


@pytest.mark.parametrize("name", ["cell.json", "rows.jsonl", "digests.json"])
def test_a_damaged_cell_is_set_aside_and_run_again(tmp_path: Path, expected: bytes, name: str, caplog: Any):
    run_study(toy_study(), out=tmp_path)
    path = cell_folder(tmp_path, "step-1") / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2", 1))
    again = run_study(toy_study(), out=tmp_path)
    assert again.ran == ("steps/step-1",)
    assert (tmp_path / "rows.jsonl").read_bytes() == expected
    aside = path.parent.with_name(f"{path.parent.name}.damaged-1")
    assert (aside / name).read_bytes() != content
    assert aside.name in caplog.text


def test_a_damaged_file_of_a_needed_cell_is_found_before_it_is_used(tmp_path: Path, expected: bytes, caplog: Any):
    run_study(toy_study(broken=("step-1",)), out=tmp_path)
    study = toy_study()
    file = StudyFolder(study, tmp_path).folder(study.cells[0]) / "numbers.txt"
    file.write_text(file.read_text().replace("2", "3"))
    again = run_study(study, out=tmp_path)
    assert again.complete
    assert "source/numbers" in again.ran
    assert (tmp_path / "rows.jsonl").read_bytes() == expected
    assert "numbers.txt must be as it was written" in caplog.text


def test_a_live_worker_keeps_its_cell(tmp_path: Path):
    study = toy_study()
    results = StudyFolder(study, tmp_path)
    with results.lock(study.cells[1]):
        assert results.state(study.cells[1]) == "running"
    assert results.state(study.cells[1]) == "waiting"


MEMORY_PROGRAM = """
import numpy as np, psutil
from pyrepsim.studies.runner.running import free_memory
pieces = [np.ones(10_000) for _ in range(2000)]  # 160 MB; some of them are kept, all over the heap
kept = pieces[::500]
del pieces
before = psutil.Process().memory_info().rss
free_memory()
print((before - psutil.Process().memory_info().rss) / 1e6)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")
def test_freed_memory_is_returned_to_the_system_between_cells():
    done = subprocess.run([sys.executable, "-c", MEMORY_PROGRAM], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 100
