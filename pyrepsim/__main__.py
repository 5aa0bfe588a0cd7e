"""`python -m pyrepsim` is the command `pyrepsim`."""

import sys

from .cli import main

sys.exit(main())
