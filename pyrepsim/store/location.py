"""Is a folder on a local disk? Memory maps are fast there, and slow or dangerous on a network file system."""

from __future__ import annotations

from pathlib import Path

_REMOTE = frozenset(
    [
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph"),
        *("glusterfs", "lustre", "gpfs", "beegfs", "pvfs2", "orangefs", "wekafs", "panfs", "davfs"),
        *("virtiofs", "juicefs"),
    ]
)
_MOUNTS = Path("/proc/mounts")


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """True if ``folder`` lies on a network or FUSE file system, as far as /proc/mounts can tell."""
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="replace")
        except OSError:
            return False  # not Linux: taken for local
    kind = file_system(folder.resolve(), mounts)
    return kind in _REMOTE or (kind.startswith("fuse") and kind not in ("fuseblk", "fusectl"))


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system whose mount point is the deepest above ``folder``."""
    kind, deepest = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1]).rstrip("/") + "/"
        if len(point) >= len(deepest) and f"{folder}/".startswith(point):  # a later mount hides an earlier one
            kind, deepest = fields[2], point
    return kind


def _unescaped(text: str) -> str:
    """The kernel writes blanks in paths as octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
