"""Edge probing: small classifiers of spans over the frozen layers of an encoder, all trained together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
