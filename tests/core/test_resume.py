"""Requests and their records: what is the same work, and how a difference is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.core.errors import CorruptStoreError, StoreError
from pyrepsim.core.resume import (
    check_same_request,
    first_difference,
    plain_json,
    read_record,
    request_digest,
    write_record,
)

REQUEST = {"model": "m", "layers": (0, 1), "path": Path("a/b"), "seed": 3, "options": {"lr": 0.1}}


def test_a_request_becomes_plain_json():
    assert plain_json(REQUEST) == {"model": "m", "layers": [0, 1], "path": "a/b", "seed": 3, "options": {"lr": 0.1}}


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert request_digest(REQUEST) == request_digest(dict(reversed(REQUEST.items())))
    assert request_digest(REQUEST) == request_digest(plain_json(REQUEST))
    assert request_digest(REQUEST) != request_digest(REQUEST | {"seed": 4})


def test_a_record_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "new" / "record.json"
    assert read_record(path) is None
    write_record(path, REQUEST, state="begun")
    write_record(path, REQUEST, state="done", name="naïve")
    assert read_record(path) == {"request": plain_json(REQUEST), "state": "done", "name": "naïve"}
    assert [entry.name for entry in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"state": "done"}', '{"request": 1}', "[" * 100_000])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(CorruptStoreError, match=r"r\.json cannot be read .*Remove that folder\."):
        read_record(tmp_path / "r.json", remedy="Remove that folder.")


def test_the_same_request_is_accepted():
    check_same_request(plain_json(REQUEST), REQUEST, where="runs/a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, r"runs/a differs in seed \(3 before, 4 now\)\. Use the same arguments"),
        ({"layers": [0, 2]}, r"layers\[1\] \(1 before, 2 now\)"),
        ({"layers": [0]}, r"layers \(\[0, 1\] before, \[0\] now\)"),
        ({"options": {"lr": 0.1, "decay": 0.0}}, r"options\.decay \(only now\)"),
        ({"options": {}}, r"options\.lr \(only before\)"),
        ({"seed": 4, "model": "n"}, r"model \('m' before, 'n' now\)"),
        ({"documents": 5, "seed": 4}, r"seed \(3 before, 4 now\)"),
    ],
)
def test_the_first_difference_is_named_chosen_options_first(change: dict, message: str):
    with pytest.raises(StoreError, match=message):
        check_same_request(plain_json(REQUEST), REQUEST | change, where="runs/a")


def test_long_values_are_shortened():
    assert first_difference({"x": list(range(90))}, {"x": list(range(80))}) == "x (90 items before, 80 items now)"
    difference = first_difference({"x": "a" * 90}, {"x": "b"}, sides=("in the first", "in the second"))
    assert difference == f"x ({('a' * 90)!r:.57}... in the first, 'b' in the second)"


def test_every_flipped_bit_of_a_record_is_found(tmp_path: Path):
    path = tmp_path / "record.json"
    write_record(path, REQUEST, state="done")
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        path.write_bytes(content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :])
        with pytest.raises(CorruptStoreError, match="must be complete"):
            read_record(path)
