"""Small SQuAD files, and a tokenizer that joins two texts as BERT does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers.tiny_models import wordpiece

NILE = "The Nile flows through Egypt. It is 6,650 km long (about 4,130 miles), and it ends in the Nile Delta."
BRIDGE = "Café Ünal stood by the old bridge. Ada's sister sold the key to the cabinet near the river bank in 1848–49."


def question(key: str, text: str, context: str, *answers: str, start: int | None = None) -> dict[str, Any]:
    golds = [{"text": answer, "answer_start": context.index(answer) if start is None else start} for answer in answers]
    return {"id": key, "question": text, "answers": golds}


def squad_json(*paragraphs: tuple[str, list[dict[str, Any]]], version: str = "1.1") -> dict[str, Any]:
    """One article with these paragraphs."""
    content = [{"context": context, "qas": questions} for context, questions in paragraphs]
    return {"version": version, "data": [{"title": "", "paragraphs": content}]}


def written(folder: Path, content: Any, name: str = "squad.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def two_paragraphs() -> dict[str, Any]:
    nile = [
        question("n1", "What does the Nile flow through?", NILE, "Egypt"),
        question("n2", "How long is it?", NILE, "6,650 km", "about 4,130 miles", "6,650"),
        question("n3", "Where does it end?", NILE, "the Nile Delta", "Nile Delta"),
    ]
    bridge = [
        question("b1", "What stood by the bridge?", BRIDGE, "Café Ünal"),
        question("b2", "  When was the key sold by the sister of Ada, near the bank of the river?", BRIDGE, "1848–49"),
        question("b3", "Who sold it?", BRIDGE, "Ada's sister"),
    ]
    return squad_json((NILE, nile), (BRIDGE, bridge))


def pair_tokenizer() -> Any:
    from tokenizers import processors

    tokenizer = wordpiece(positions=512)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer
