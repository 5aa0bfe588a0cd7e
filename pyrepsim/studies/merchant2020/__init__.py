"""What Happens To BERT Embeddings During Fine-tuning? (Merchant et al. 2020), as cells: one file an experiment."""

from .scales import Scale, load_scale
from .study import merchant2020

__all__ = ["Scale", "load_scale", "merchant2020"]
