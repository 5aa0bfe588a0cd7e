"""Data sets of the Hugging Face hub or its cache: one split, and its records."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import MissingExtraError, TextError

__all__ = ["HUB", "hub_records", "load_split", "why_unreachable"]

HUB = "hub:"
"""Prefix of sources on the hub: ``hub:owner/name[:config[:split]]``."""

_SECONDS = 3.0


def why_unreachable() -> str | None:
    """Return why the hub (HF_ENDPOINT) cannot be reached, or None if it answers within 3 seconds.

    The hub's own client tries for about half a minute before it gives up. In offline mode (HF_HUB_OFFLINE) nothing is
    sent and the result is None.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    answers: list[str | None] = [f"no answer in {_SECONDS:.0f} s"]
    thread = threading.Thread(target=_contact, args=(constants.ENDPOINT, answers), daemon=True)
    thread.start()
    thread.join(_SECONDS)  # name resolution has no timeout of its own
    return answers[0]


def _contact(endpoint: str, answers: list[str | None]) -> None:
    from huggingface_hub.utils import get_session

    try:  # the client's session knows proxies and certificates
        status = get_session().head(endpoint, timeout=_SECONDS).status_code
        answers[0] = None if status < 500 else f"{endpoint} answers with status {status}"
    except Exception as error:  # the type depends on the client's HTTP library
        answers[0] = f"{type(error).__name__}: {endpoint}: {error}"


def load_split(name: str, config: str | None, split: str | None, *, check: str, choose: str) -> Any:
    """Load one split of a data set as a `datasets.Dataset`; `split` may be None if there is only one.

    Parameters
    ----------
    name : str
        Id on the hub, or a folder that `datasets.load_dataset` reads.
    config, split : str or None
    check, choose : str
        The last sentence of error messages, in the words of the caller's interface: what to check if loading failed,
        and how to choose one of several splits (``{name}`` and ``{split}`` are filled in).

    Raises
    ------
    TextError
        If the data set, configuration or split does not exist, if there is no connection, or if there are several
        splits and `split` is None.
    MissingExtraError
        If `datasets` is not installed.
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
    except Exception as error:  # about ten types: not found, no network, unknown split or configuration
        lines = str(error).strip().splitlines()[:2]  # the second line lists the available configurations
        reason = f"{type(error).__name__}: {' '.join(lines) or 'no detail'}"
        if unreachable is not None:
            reason = f"the hub cannot be reached, {unreachable}; from the cache, {reason}"
        raise TextError(
            f"{name!r} is not a file, and could not be loaded as a data set from the hub ({reason}). {check}"
        ) from error
    if split is not None:
        return loaded
    if len(loaded) != 1:
        remedy = choose.format(name=name, split=next(iter(loaded), "..."))
        raise TextError(f"One split of {name!r} must be chosen: it has {', '.join(loaded)}. {remedy}")
    return next(iter(loaded.values()))


def _load(datasets: Any, name: str, config: str | None, split: str | None, *, offline: bool) -> Any:
    """Call `load_dataset`; if `offline`, read from the cache without waiting for the hub."""
    setting = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = setting or offline
    try:
        return datasets.load_dataset(name, config, split=split)
    finally:
        datasets.config.HF_HUB_OFFLINE = setting


def hub_records(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, record) of ``hub:owner/name[:config[:split]]``, with class labels by name.

    A hidden label (-1) becomes None.

    Raises
    ------
    TextError
        If the source has another form, or the data set cannot be loaded.
    """
    name, *rest = source.removeprefix(HUB).split(":")
    if not name or len(rest) > 2:
        raise TextError(f"A data set of the hub is 'hub:owner/name:config:split': got {source!r}. Check its parts.")
    config, split = [part or None for part in (*rest, "", "")[:2]]
    dataset = load_split(
        name,
        config,
        split,
        check="Check the parts of 'hub:owner/name:config:split', or the connection.",
        choose=f"Use '{HUB}{{name}}:{config or ''}:{{split}}'.",
    )
    decoders = {column: _label_names(feature) for column, feature in (dataset.features or {}).items()}
    for index, record in enumerate(dataset):
        yield f"{source}:{index}", {column: _decoded(decoders.get(column), x) for column, x in record.items()}


def _label_names(feature: Any) -> Sequence[str] | None:
    """Return the names of a column of class labels, or of lists of them; None for any other column."""
    inner = getattr(feature, "feature", feature)  # of a list
    names = getattr(inner, "names", None)
    return list(names) if names else None


def _decoded(names: Sequence[str] | None, entry: Any) -> Any:
    if names is None or isinstance(entry, str) or entry is None:
        return entry
    if isinstance(entry, list):
        return [_decoded(names, one) for one in entry]
    return names[entry] if entry >= 0 else None
