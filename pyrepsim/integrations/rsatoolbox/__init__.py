"""rsatoolbox: RDMs of data and of searchlights, `compare`, noise ceilings and bootstraps."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..patching import Host
from ..patching import patched as _patched
from . import bootstraps, comparisons, dissimilarities, searchlights
from .comparisons import compare
from .searchlights import searchlight_rdms

__all__ = ["compare", "patched", "searchlight_rdms"]


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute RDMs, compare them, and run bootstraps with pyrepsim where rsatoolbox is called.

    As in rsatoolbox, a correlation or cosine with a constant RDM is 0. After ``numpy.random.seed``, bootstraps draw the
    samples that rsatoolbox draws.

    Parameters
    ----------
    any_version
        Patch a version of rsatoolbox that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


_HOST = Host(
    "rsatoolbox",
    ">=0.3,<0.4",
    comparisons.ADAPTERS | dissimilarities.ADAPTERS | searchlights.ADAPTERS | bootstraps.ADAPTERS,
)
