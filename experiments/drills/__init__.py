"""Drills: each file does one kind of harm to commands that run, and compares what they leave.

They are run by drill.py, from whose folder and that above it they import.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
for name, value in (("TOKENIZERS_PARALLELISM", "false"), ("HF_HUB_OFFLINE", "1")):
    os.environ.setdefault(name, value)
