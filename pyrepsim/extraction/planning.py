"""From arguments to a plan, and what the plan would cost: rows, bytes, seconds.

FOLDED: The options that `extract` and `plan_extraction` share: what decides the rows, bytes and batches of a store.
FOLDED: What a store writes down about how it was made: plan, model, tokenizer, environment.
FOLDED: One plan for two models: taken from a store, checked against the texts and the tokenizer at hand.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, Unpack

from ..core.errors import OptionError, StoreError, TextError
from ..core.resume import first_difference
from ..core.workers import Worker, find_worker
from ..data.documents import Corpus
from ..data.texts import read_texts
from ..models import Encoder, load_encoder
from ..store import ActivationStore, files, open_store, store_info
from ..store.columns import ROW_BYTES
from ..store.layout import DTYPES, PAGE, PLAN, journal_parts
from ..version import __version__
from .engine import Selector, choose_layers, largest, torch_dtype
from .layout import Batch, Policy
from .plan import ExtractionPlan, freeze_plan, policy_for

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


_PROBE_TOKENS = 1024
_SHORT_SECONDS = 0.25


class Prepared(NamedTuple):
    """What an extraction starts from."""

    encoder: Encoder
    plan: ExtractionPlan
    widths: dict[str, int]
    dtype: str


def prepare(
    model: str | os.PathLike[str] | Encoder,
    texts: Any,
    *,
    layers: str | Sequence[str | int] = "all",
    dtype: str = "float16",
    words: str | None = None,
    long: str = "error",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    same_plan_as: Any = None,
    revision: str | None = None,
    device: str = "auto",
) -> Prepared:
    """Load the model, read the texts and freeze their plan: a new one, or that of another extraction."""
    torch_dtype(dtype)
    if isinstance(model, Encoder):
        if revision is not None:
            raise OptionError(f"A revision is for loading: {model!r} is loaded already. Leave revision out.")
        encoder = model
    else:
        encoder = load_encoder(model, revision=revision, device=device)
    corpus = read_texts(texts)
    asked = {"words": words, "long": long, "max_length": max_length, "batch_tokens": batch_tokens}
    if same_plan_as is None:
        plan = freeze_plan(encoder, corpus, policy_for(encoder, **asked))
    else:
        plan = _shared_plan(encoder, corpus, same_plan_as, asked)
    return Prepared(encoder, plan, {layer: encoder.layers[layer] for layer in choose_layers(encoder, layers)}, dtype)


def _shared_plan(encoder: Encoder, corpus: Corpus, same_plan_as: Any, asked: dict[str, Any]) -> ExtractionPlan:
    if isinstance(same_plan_as, ExtractionPlan):
        where, shared = "the plan", same_plan_as.record()
    else:
        store = same_plan_as if isinstance(same_plan_as, ActivationStore) else open_store(same_plan_as)
        where, shared = str(store.path), store.plan
    policy = shared_policy(shared, where, **asked)
    check_same_texts(corpus, shared, where)
    plan = freeze_plan(encoder, corpus, policy)
    check_same_plan(plan, shared, encoder, where)
    return plan


@showing(prepare)
def plan_extraction(
    model: str | os.PathLike[str] | Encoder,
    texts: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    worker: str | Worker | None = None,
    **options: Unpack[ExtractionOptions],
) -> ExtractionPlan:
    """What `extract` would do with these arguments: rows, tokens, bytes, and time by one timed batch.

    ``n_bytes_left`` and ``estimated_seconds`` are those of this worker's share, without the shards that a store begun
    at `out` holds already. Nothing is written. Raises as `extract` does.
    """
    share = find_worker(worker)
    prepared = prepare(model, texts, **options)
    encoder, plan, widths, dtype = prepared
    row_bytes = ROW_BYTES + DTYPES[dtype].itemsize * sum(widths.values())
    sizes = [n_rows * row_bytes + PAGE * (len(widths) + 1) for n_rows in plan.shard_rows]
    missing = range(plan.n_shards) if out is None else _missing(Path(out), prepared)
    left = [shard for shard in missing if share.takes(shard)]
    part = sum(plan.shard_rows[shard] for shard in left) / plan.n_rows
    return dataclasses.replace(
        plan,
        n_bytes=sum(sizes),
        n_bytes_left=sum(sizes[shard] for shard in left),
        estimated_seconds=part * _estimate(encoder, plan, list(widths)) if left else 0.0,
    )


def _missing(out: Path, prepared: Prepared) -> Sequence[int]:
    """The shards that the store at `out` lacks: all, if there is none. StoreError for a store of another plan."""
    encoder, plan, widths, dtype = prepared
    shards = range(plan.n_shards)
    if not out.is_dir() or not files.exists(out, PLAN):
        return shards
    info = store_info(out)
    found = {"plan": info.plan, "layers": info.widths, "dtype": info.dtype}
    wanted = {"plan": store_record(encoder, plan), "layers": dict(widths), "dtype": dtype}
    if found != wanted:
        raise StoreError(
            f"A store is resumed only under the plan it was started with: {out} differs in "
            f"{first_difference(found, wanted)}. Use the same options, choose another folder, or replace the store "
            "that is there: overwrite=True, or --overwrite on the command line."
        )
    return [shard for shard in shards if not files.exists(out, journal_parts(shard))]


def _estimate(encoder: Encoder, plan: ExtractionPlan, layers: list[str]) -> float:
    """Seconds for all batches, from a typical one: run once to warm up, then timed.

    It is cut to about a thousand tokens, unless that takes no time: with a small model most of it is what a call
    itself costs, and only a whole batch says how many calls there are.
    """
    layout = next(layout for layout in plan.shards() if layout.n_rows)
    batches = list(layout.batches())
    whole = batches[len(batches) // 2]
    ids = whole.ids[: max(1, _PROBE_TOKENS // whole.ids.shape[1])]
    keep = whole.picks < ids.size
    probe = Batch(ids, whole.picks[keep], whole.counts[keep], whole.rows[keep])
    selector = Selector(encoder, layers, pooling=plan.policy.words)
    _seconds(selector, probe)
    seconds = _seconds(selector, probe)
    if seconds < _SHORT_SECONDS:
        probe = whole
        seconds = min(_seconds(selector, probe) for _ in range(3))  # the first of them warms up
    return seconds * plan.n_padded / probe.ids.size


def _seconds(selector: Selector, batch: Batch) -> float:
    started = time.perf_counter()
    largest(selector.rows(batch))
    return time.perf_counter() - started
