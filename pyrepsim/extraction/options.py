"""The options that `extract` and `plan_extraction` share: what decides the rows, bytes and batches of a store."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    from ..store import ActivationStore
    from .plan import ExtractionPlan

Function = TypeVar("Function", bound=Callable[..., Any])


class ExtractionOptions(TypedDict, total=False):
    """Each may be left out; `prepare` has the defaults and `extract` says what they mean."""

    layers: str | Sequence[str | int]
    dtype: str
    words: str | None
    long: str
    max_length: int | None
    batch_tokens: int
    same_plan_as: ActivationStore | ExtractionPlan | str | os.PathLike[str] | None
    revision: str | None
    device: str


def showing(source: Callable[..., Any]) -> Callable[[Function], Function]:
    """Let the signature of a function that hands ``**options`` on to `source` name them, with their defaults."""
    shared = [p for p in inspect.signature(source).parameters.values() if p.kind is p.KEYWORD_ONLY]

    def with_signature(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        setattr(function, "__signature__", signature.replace(parameters=[*own, *shared]))  # noqa: B010
        return function

    return with_signature
