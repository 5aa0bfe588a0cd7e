"""Studies: experiments made of many cells, run once each by any number of workers, and their report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
