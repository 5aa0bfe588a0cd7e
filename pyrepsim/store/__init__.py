"""Activation stores: checked, resumable, memory-mapped folders of representations; see FORMAT.md."""

from .catalog import StoreInfo, list_stores, remove_store, store_info
from .columns import TokenColumns, TokenFlag
from .exports import export
from .from_arrays import write_store
from .layout import plan_shards
from .pairs import check_same_rows, paired_chunks, paired_layer_chunks
from .reader import ActivationStore, open_store
from .representation import Representation
from .verification import Problem, verify
from .writer import StoreWriter

__all__ = [
    "ActivationStore",
    "Problem",
    "Representation",
    "StoreInfo",
    "StoreWriter",
    "TokenColumns",
    "TokenFlag",
    "check_same_rows",
    "export",
    "list_stores",
    "open_store",
    "paired_chunks",
    "paired_layer_chunks",
    "plan_shards",
    "remove_store",
    "store_info",
    "verify",
    "write_store",
]
