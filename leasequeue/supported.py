"""Where this cannot run, said before an import fails for a reason that helps nobody."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    raise ImportError("expected Linux or macOS, got: Windows; run it inside WSL 2")
