"""What Happens To BERT Embeddings During Fine-tuning? (Merchant et al. 2020): the paper's experiments as a study."""

from .scales import Scale, load_scale
from .study import merchant2020

__all__ = ["Scale", "load_scale", "merchant2020"]
