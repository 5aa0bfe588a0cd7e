"""What a store writes down about how it was made: plan, model, tokenizer, environment."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from ..models import Encoder
from ..version import __version__
from .plan import ExtractionPlan


def store_record(encoder: Encoder, plan: ExtractionPlan) -> dict[str, Any]:
    """The record of an extraction, as JSON: a store is resumed only under an equal one."""
    return plan.record() | {
        "model": encoder.record(),
        "environment": _environment(encoder),
        "tokenizer": {"class": type(encoder.tokenizer).__name__, "digest": encoder.tokenizer_digest},
    }


def _environment(encoder: Encoder) -> dict[str, str]:
    """What may change the last bits of an activation, so that a store is not resumed under another."""
    found = {"device": encoder.device.type, "pyrepsim": __version__}
    for package in ("torch", "transformers", "tokenizers"):
        try:
            found[package] = installed(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
