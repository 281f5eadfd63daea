"""How much slower than usual this machine is just now: bounds in seconds stretch by it."""

import subprocess
import sys
import time

USUAL_S = 3.0


def slowness() -> float:
    """How many times longer the start of a worker, above all the import of torch, takes; >= 1."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return max(1.0, (time.monotonic() - started) / USUAL_S)
