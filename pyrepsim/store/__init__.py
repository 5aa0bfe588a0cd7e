"""Activation stores: folders with the representations of a model. Their format is described in docs/store-format.md."""

from .catalog import Problem, StoreInfo, list_stores, store_info, verify
from .columns import TokenColumns, TokenFlag
from .exports import export
from .from_arrays import write_store
from .layout import plan_shards
from .matching import (
    check_same_rows,
    count_documents,
    document_rows,
    match_texts,
    match_words,
    paired_chunks,
    paired_layer_chunks,
)
from .reader import ActivationStore, open_store
from .removal import remove_store
from .representation import Representation
from .shards import ShardCache
from .writer import StoreWriter

__all__ = [
    "ActivationStore",
    "Problem",
    "Representation",
    "ShardCache",
    "StoreInfo",
    "StoreWriter",
    "TokenColumns",
    "TokenFlag",
    "check_same_rows",
    "count_documents",
    "document_rows",
    "export",
    "list_stores",
    "match_texts",
    "match_words",
    "open_store",
    "paired_chunks",
    "paired_layer_chunks",
    "plan_shards",
    "remove_store",
    "store_info",
    "verify",
    "write_store",
]
