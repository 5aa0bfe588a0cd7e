"""Listing, describing and removing stores."""

from __future__ import annotations

import pytest

from pyrepsim.core.errors import StoreError
from pyrepsim.store import StoreWriter, list_stores, remove_store, store_info


def test_listing(make_store, tmp_path):
    whole = make_store("deep/er/whole")
    StoreWriter.create(tmp_path / "half", {}, layers={"a": 3}, shard_rows=[4, 4]).commit(
        1, {name: [0] * 4 for name in ("doc_id", "position", "token_id")}, {"a": whole[0].read(0, 4)[:, :3]}
    )
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "plan.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    bad, deep, half = list_stores(tmp_path)
    assert (bad.name, bad.state) == ("bad", "unreadable")
    assert "must end with its digest" in str(bad.problem)
    assert (deep.name, deep.state, deep.n_rows) == ("deep/er/whole", "sealed", 50)
    assert (deep.layers, deep.n_bytes, deep.dtype) == (whole.layers, whole.n_bytes, "float16")
    assert (half.name, half.state, half.sealed) == ("half", "1/2 committed", False)
    assert [info.name for info in list_stores(whole.path)] == ["whole"]
    assert list_stores(tmp_path / "nowhere") == []
    assert store_info(half.path) == half
    assert (half.widths, half.plan) == ({"a": 3}, {})
    with pytest.raises(StoreError, match="must end with its digest"):
        store_info(bad.path)
    with pytest.raises(StoreError, match="there is none at"):
        store_info(tmp_path / "nowhere")


def test_removing(make_store, tmp_path):
    store = make_store()
    remove_store(store.path)
    assert not store.path.exists()


def test_only_stores_are_removed(make_store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"not a folder with a plan\.json"):
        remove_store(tmp_path / "mine")
    store = make_store()
    (store.path / "notes.txt").write_text("")
    with pytest.raises(StoreError, match=r"also holds notes.txt"):
        remove_store(store.path)
    (store.path / "notes.txt").unlink()
    (tmp_path / "link").symlink_to(store.path)
    with pytest.raises(StoreError, match="Only a store"):
        remove_store(tmp_path / "link")
    assert (tmp_path / "mine" / "thesis.tex").exists()
    assert (store.path / "manifest.json").exists()


def test_removing_does_not_follow_links(make_store, tmp_path):
    store = make_store()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    (store.path / "layers").rename(tmp_path / "moved")
    (store.path / "layers").symlink_to(tmp_path / "precious")
    remove_store(store.path)
    assert (tmp_path / "precious" / "file").exists()
