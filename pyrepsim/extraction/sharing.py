"""One plan for two models: taken from a store, checked against the texts and the tokenizer at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError, TextError
from ..models import Encoder
from .documents import Corpus
from .plan import ExtractionPlan
from .policy import Policy


def shared_policy(record: Mapping[str, Any], where: str, **asked: Any) -> Policy:
    """The policy of the plan in `record`; options asked for beside it must not contradict it."""
    try:
        policy = Policy(**record["policy"])
        record["rows"]["texts"]
    except (KeyError, TypeError) as error:
        raise OptionError(
            f"same_plan_as must be a store made by `extract`, or a plan: {where} has no extraction plan in it."
        ) from error
    defaults = Policy()
    for name, value in asked.items():
        if value != getattr(defaults, name) and value != getattr(policy, name):
            raise OptionError(
                f"same_plan_as={where} has {name}={getattr(policy, name)!r}: got {name}={value!r} beside it. Leave "
                "it out, or make a plan of its own."
            )
    return policy


def check_same_texts(corpus: Corpus, record: Mapping[str, Any], where: str) -> None:
    """Refuse other texts than those of the plan in `record`, before anything is found wrong with them."""
    expected = record["rows"]
    if corpus.fingerprint != expected["texts"]:
        raise TextError(
            f"same_plan_as={where} was made from other texts: {expected['documents']} documents, fingerprint "
            f"{expected['texts'][:8]}; these are {len(corpus)}, {corpus.fingerprint[:8]}. Give the same texts."
        )


def check_same_plan(plan: ExtractionPlan, record: Mapping[str, Any], encoder: Encoder, where: str) -> None:
    """Refuse a tokenizer that cuts the texts in another way, and a model that is too short for them."""
    if plan.record()["rows"] != record["rows"]:
        raise OptionError(
            f"Models that share a plan must cut these texts into the same tokens: {encoder.name!r} does not, by "
            f"the plan of {where}. To compare models with different tokenizers extract both with words='first' or "
            "'mean'."
        )
    check_positions(plan, encoder)


def check_positions(plan: ExtractionPlan, encoder: Encoder) -> None:
    """Refuse a model that has fewer positions than the longest sequence of a plan made for another."""
    limit = encoder.position_limit
    longest = int(plan.table.lengths.max(initial=0))
    if plan.policy.max_length is not None:
        longest = min(longest, plan.policy.max_length)
    if limit is not None and longest > limit:
        raise OptionError(
            f"Models that share a plan must have positions for its longest sequence, {longest} tokens: "
            f"{encoder.name!r} has {limit}. Make the plan with max_length={limit}."
        )
