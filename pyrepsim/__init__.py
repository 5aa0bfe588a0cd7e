"""How training changes a network's representations, measured exactly: extract, compare, fine-tune, probe.

>>> import numpy as np, pyrepsim as rs
>>> X = np.random.default_rng(0).standard_normal((500, 8))
>>> rs.compare(X, 2 * X, rs.LinearCKA())
Score(1, LinearCKA, n=500)
"""

import os

import lazy_loader

from .version import __version__ as __version__

# Each name of __init__.pyi is imported at first use: `import pyrepsim` loads neither NumPy nor torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if os.name == "nt":
    raise ImportError("pyrepsim runs on Linux and macOS: this is Windows. Use the Windows Subsystem for Linux (WSL).")
