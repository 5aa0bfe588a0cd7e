"""One split of a data set on the hub, or in its cache.

FOLDED: Whether the hub answers, asked once and briefly: its own client tries for half a minute before it gives up.
"""

from __future__ import annotations

import threading
from typing import Any

from ..core.errors import MissingExtraError, TextError

__all__ = ["load_split"]

_SECONDS = 3.0


def why_unreachable() -> str | None:
    """Why the hub (HF_ENDPOINT) cannot be reached, in words.

    None if it answers, and in offline mode (HF_HUB_OFFLINE), which its client knows by itself.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    found: list[str | None] = [f"no answer in {_SECONDS:.0f} s"]
    asking = threading.Thread(target=_ask, args=(constants.ENDPOINT, found), daemon=True)
    asking.start()
    asking.join(_SECONDS)  # the look-up of a name has no timeout of its own
    return found[0]


def _ask(endpoint: str, found: list[str | None]) -> None:
    from huggingface_hub.utils import get_session

    try:  # the client's own session knows proxies and certificates
        status = get_session().head(endpoint, timeout=_SECONDS).status_code
        found[0] = None if status < 500 else f"{endpoint} answers with status {status}"
    except Exception as error:  # of whichever HTTP library the client uses
        found[0] = f"{type(error).__name__}: {endpoint}: {error}"


def load_split(name: str, config: str | None, split: str | None, *, check: str, choose: str) -> Any:
    """The `datasets.Dataset` of one split; `split` may be None where there is one only.

    Parameters
    ----------
    check, choose
        The remedies, in the words of the caller's interface: what to check where nothing could be loaded, and how to
        choose among several splits (``{name}`` and ``{split}`` are filled in).

    Raises
    ------
    TextError
        No such data set, no such configuration or split, no connection; or several splits, of which none is chosen.
    MissingExtraError
        `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            f"Reading the data set {name!r} needs the datasets package, which is not installed. Install it with "
            "`pip install pyrepsim[torch]`."
        ) from error
    unreachable = why_unreachable()
    try:
        loaded = _load(datasets, name, config, split, offline=unreachable is not None)
    except Exception as error:  # not found, no network, unknown split or configuration: ten types, one meaning
        lines = str(error).strip().splitlines()[:2]  # the second lists the configurations there are
        reason = f"{type(error).__name__}: {' '.join(lines) or 'no detail'}"
        if unreachable is not None:
            reason = f"the hub cannot be reached, {unreachable}; from the cache, {reason}"
        raise TextError(
            f"{name!r} is no file here, and could not be loaded as a data set from the hub ({reason}). {check}"
        ) from error
    if split is not None:
        return loaded
    if len(loaded) != 1:
        remedy = choose.format(name=name, split=next(iter(loaded), "..."))
        raise TextError(f"One split of {name!r} must be chosen: it has {', '.join(loaded)}. {remedy}")
    return next(iter(loaded.values()))


def _load(datasets: Any, name: str, config: str | None, split: str | None, *, offline: bool) -> Any:
    """`load_dataset`; from the cache alone if `offline`, without trying the hub again and again first."""
    setting = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = setting or offline
    try:
        return datasets.load_dataset(name, config, split=split)
    finally:
        datasets.config.HF_HUB_OFFLINE = setting
