"""Fine-tuning of an encoder on a task, and ablations of its layers. torch is imported at first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
