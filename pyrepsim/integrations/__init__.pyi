from . import brainscore as brainscore
from . import mne_rsa as mne_rsa
from . import netrep as netrep
from . import rsatoolbox as rsatoolbox
from . import scipy as scipy
from . import sklearn as sklearn
from .patching import calls as calls
from .patching import fallbacks as fallbacks
