"""Amounts of memory as text, and the memory that a process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrepsim.core import memory
from pyrepsim.core.errors import OptionError
from pyrepsim.core.memory import format_bytes, memory_budget

GB = 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with 64 GB and no control groups yet."""
    (tmp_path / "cgroups").mkdir()
    monkeypatch.setattr(memory, "_physical_memory", lambda: 64 * GB)
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroups")
    memory._total_memory.cache_clear()
    yield tmp_path
    memory._total_memory.cache_clear()


def add_group(machine: Path, own: str, folder: str, files: dict[str, str]) -> None:
    (machine / "cgroup").write_text(own)
    (machine / "cgroups" / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (machine / "cgroups" / folder / name).write_text(text)


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (81_400_000, "81.4 MB"),
        (153_600_000, "154 MB"),
        (999_999, "1 MB"),
        (3.05e9, "3.05 GB"),
        (2e15, "2 PB"),
        (2e18, "2,000 PB"),
    ],
)
def test_sizes_have_three_digits(n_bytes: float, words: str):
    assert format_bytes(n_bytes) == words


@pytest.mark.parametrize(
    ("amount", "n_bytes"),
    [(7, 7), ("8GB", 8 * GB), ("8 gb", 8 * GB), ("1.5MiB", 1_572_864), ("2 KiB", 2048), ("100 B", 100)],
)
def test_amounts(amount: int | str, n_bytes: int):
    assert memory_budget(amount) == n_bytes


@pytest.mark.parametrize("amount", [0, -1, True, 1.5, "8", "GB", "8 gigs", "-8GB", "0GB", ""])
def test_other_amounts_are_refused(amount: object):
    with pytest.raises(OptionError, match="memory must be a number of bytes or an amount such as '8GB'"):
        memory_budget(amount)  # type: ignore[arg-type]


def test_without_control_groups_the_machine_counts(machine: Path):
    assert memory_budget() == 64 * GB


def test_a_limit_of_cgroups_2(machine: Path):
    add_group(machine, "0::/job/step\n", "job", {"memory.max": f"{16 * GB}\n"})
    add_group(machine, "0::/job/step\n", "job/step", {"memory.max": "max\n"})
    assert memory_budget() == 16 * GB


def test_a_limit_of_cgroups_1_whose_path_is_not_visible_in_the_container(machine: Path):
    add_group(machine, "5:cpu:/x\n4:memory:/docker/123\n0::/\n", "memory", {"memory.limit_in_bytes": f"{8 * GB}\n"})
    assert memory_budget() == 8 * GB


def test_the_limit_of_cgroups_1_without_a_limit_is_no_limit(machine: Path):
    add_group(machine, "4:memory:/\n", "memory", {"memory.limit_in_bytes": "9223372036854771712\n"})
    assert memory_budget() == 64 * GB


def test_on_this_machine():
    assert 0 < memory_budget() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
