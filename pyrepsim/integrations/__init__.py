"""pyrepsim under the names of other libraries: one module for each library.

``patched()`` of a module is a context manager: inside it, the library computes with pyrepsim. A call that pyrepsim does
not cover goes to the library's own function; this is logged once. `calls` counts the calls that reached
pyrepsim, `fallbacks` those of them that it passed on.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
