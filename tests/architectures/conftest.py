from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="no transformers: models need the extra [torch]")
