"""Options of the commands that run models over texts: which texts, and how they are read."""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
from dataclasses import dataclass, fields
from typing import Any

from ..extraction.options import ReadingOptions

__all__ = ["TextOptions"]


@dataclass(frozen=True, kw_only=True)
class TextOptions(ReadingOptions):
    """Options that choose texts within a source, how to read them, and the device."""

    field: str | None = None
    """Where the text is: a field of JSONL records or a column of a data set, such as sentence1."""
    subset: str | None = None
    """Configuration of a data set of the hub, such as mnli of nyu-mll/glue."""
    split: str | None = None
    """Split of a data set of the hub, such as validation_matched."""
    device: str = "auto"
    """auto, cpu or cuda:0."""

    def source_options(self) -> dict[str, str]:
        """Options for `read_texts` that were set."""
        options = {"field": self.field, "config": self.subset, "split": self.split}
        return {name: value for name, value in options.items() if value is not None}

    def reading_options(self) -> dict[str, Any]:
        """Options that `extract` and `compare_models` share."""
        return {**self.reading(), "device": self.device}

    def changed_text_options(self) -> list[str]:
        """The options of this class that differ from their defaults, as written on the command line."""
        changed = [option.name for option in fields(TextOptions) if getattr(self, option.name) != option.default]
        return ["--" + name.replace("_", "-") for name in changed]
