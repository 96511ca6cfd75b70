"""What machine an experiment ran on, in a line."""

import os
import platform
from pathlib import Path

import torch
import transformers


def machine() -> str:
    """Processor, cores, threads and versions."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(named, model)
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python"
        f" {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
