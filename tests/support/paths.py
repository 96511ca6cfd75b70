"""Where the checkout is, and the data beside it that some tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
HARNESS = ROOT / "tests" / "data"
