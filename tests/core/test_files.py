"""Files of unknown origin; local and network file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.core.files import file_system, is_remote

MOUNTS = r"""/dev/vda / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /data nfs4 rw 0 0
/dev/vdb /data/local xfs rw 0 0
sshfs /home/me/far\040away fuse.sshfs rw 0 0
/dev/sdb1 /media/disk fuseblk rw 0 0
scratch /lustre lustre rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("folder", "kind", "remote"),
    [
        ("/work", "ext4", False),
        ("/data", "nfs4", True),
        ("/data/x/y", "nfs4", True),
        ("/data/local/x", "xfs", False),
        ("/database", "ext4", False),
        ("/home/me/far away/x", "fuse.sshfs", True),
        ("/media/disk", "fuseblk", False),
        ("/lustre/x", "lustre", True),
    ],
)
def test_network_file_systems_are_recognised(folder, kind, remote):
    assert file_system(Path(folder), MOUNTS) == kind
    assert is_remote(Path(folder), MOUNTS) == remote


def test_without_a_mount_table_everything_is_local(monkeypatch, tmp_path):
    monkeypatch.setattr("pyrepsim.core.files._MOUNTS", tmp_path / "none")
    assert not is_remote(tmp_path)
