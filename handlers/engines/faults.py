"""What an engine's failures mean; torch's are known only where torch is loaded."""

import sys
from typing import Any

CUDA_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device's memory was too small; a smaller batch may go through."""
    torch = _torch()
    if torch is None:
        return False
    if isinstance(error, torch.AcceleratorError):
        return getattr(error, "error_code", None) == CUDA_OUT_OF_MEMORY
    return isinstance(error, torch.OutOfMemoryError)


def is_device_fault(error: Exception) -> bool:
    """Whether the device is broken for this process: no later call can succeed."""
    torch = _torch()
    broken = torch is not None and isinstance(error, torch.AcceleratorError)
    return broken and not is_out_of_memory(error)


def release_memory() -> None:
    """Give back what the device's memory holds for later."""
    if (torch := _torch()) is not None:
        torch.cuda.empty_cache()


def _torch() -> Any:
    return sys.modules.get("torch")
