"""The options of every command that has models read texts: which texts, and how."""

# Types stand here as they are, not as strings: a string would be looked up in the module of the command that inherits.
from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["ReadingOptions"]


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """Fields of a command's dataclass; their docstrings are its help."""

    field: str | None = None
    """Where the text is: a field of JSONL records or a column of a data set, such as sentence1."""
    subset: str | None = None
    """Configuration of a data set of the hub, such as mnli of nyu-mll/glue."""
    split: str | None = None
    """Split of a data set of the hub, such as validation_matched."""
    words: Literal["first", "mean"] | None = None
    """One row a word instead of a token: its first subword, or the mean of all."""
    long: Literal["error", "window", "truncate"] = "error"
    """What to do with a text that is longer than the model takes."""
    max_length: int | None = None
    """Longest sequence in tokens, below the model's own limit."""
    batch_tokens: int = 4096
    """Tokens in a batch, padding included."""
    device: str = "auto"
    """auto, cpu or cuda:0."""

    def choice(self) -> dict[str, str]:
        """What `read_texts` must know beside the source; empty if the source's name says it all."""
        chosen = {"field": self.field, "config": self.subset, "split": self.split}
        return {name: value for name, value in chosen.items() if value is not None}

    def manner(self) -> dict[str, Any]:
        """What `extract` and `compare_models` take alike."""
        return {name: getattr(self, name) for name in ("words", "long", "max_length", "batch_tokens", "device")}

    def given(self) -> list[str]:
        """The options that do not have their default, as one writes them."""
        changed = [option.name for option in fields(ReadingOptions) if getattr(self, option.name) != option.default]
        return ["--" + name.replace("_", "-") for name in changed]
