"""Options of the commands that run models over texts: which texts, and how they are read."""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import OptionError
from ..extraction.options import ForwardOptions

__all__ = ["TextOptions"]


@dataclass(frozen=True, kw_only=True)
class TextOptions(ForwardOptions):
    """Options that choose texts within a source, how to read them, and how to load the models."""

    field: str | None = None
    """Where the text is: a field of JSONL records or a column of a data set, such as sentence1; two of them, separated
    by a comma, for pairs of texts: premise,hypothesis."""
    subset: str | None = None
    """Configuration of a data set of the hub, such as mnli of nyu-mll/glue."""
    split: str | None = None
    """Split of a data set of the hub, such as validation_matched."""

    def source_options(self) -> dict[str, Any]:
        """Options for `read_texts` that were set."""
        field = self.field if self.field is None or "," not in self.field else tuple(self.field.split(","))
        options = {"field": field, "config": self.subset, "split": self.split}
        return {name: value for name, value in options.items() if value is not None}

    def forward_options(self, *, pairs: bool = False) -> dict[str, Any]:
        """Options that `extract` and `compare_models` share; with `pairs`, `a,b` is a value for each of two models."""
        loading = self.loading()
        if pairs:
            loading = {name: _pair(value) if isinstance(value, str) else value for name, value in loading.items()}
        return {**self.reading(), **loading}

    def check_no_text_options(self, stores: str, models: str) -> None:
        """Raise OptionError if an option of this class differs from its default, for a command that reads stores."""
        changed = [option.name for option in fields(TextOptions) if getattr(self, option.name) != option.default]
        if changed:
            listed = ", ".join("--" + name.replace("_", "-") for name in changed)
            raise OptionError(
                f"Options about texts need --texts: got {listed} for {stores}. Leave them out, or give --texts and "
                f"{models}."
            )


def _pair(text: str) -> str | tuple[str | None, ...]:
    """Return `a,b` as ("a", "b"), with None for `none` or nothing; text without a comma as it is."""
    parts = [part.strip() for part in text.split(",")]
    return text if len(parts) == 1 else tuple(None if part in ("", "none") else part for part in parts)
