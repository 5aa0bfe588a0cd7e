"""Activation stores: checked, resumable, memory-mapped folders of representations; see FORMAT.md."""

from .catalog import StoreInfo, list_stores, remove_store, store_info
from .columns import TokenColumns, TokenFlag
from .documents import count_documents, document_rows, match_texts, match_words
from .exports import export
from .from_arrays import write_store
from .layout import plan_shards
from .pairs import check_same_rows, paired_chunks, paired_layer_chunks
from .reader import ActivationStore, open_store
from .representation import Representation
from .shardfile import ShardCache
from .verification import Problem, verify
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
