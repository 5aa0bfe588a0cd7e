"""Run models over texts: into a store (`extract`), or into a comparison (`compare_models`, `compare_revisions`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
