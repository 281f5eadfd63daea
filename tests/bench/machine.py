"""The machine that figures were taken on, and the processor time that its processes use."""

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import psutil
import torch


def describe(threads: int) -> dict[str, Any]:
    """What somebody needs to know to compare figures; the matrix product is the yardstick."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": threads,
        "load_average_before": round(os.getloadavg()[0], 1),
        "matmul_1024_ms": round(_matmul_ms(), 1),
    }


def cpu_s(pids: list[int]) -> float:
    """Processor time that these processes and all below them have used so far."""
    found = {child for pid in pids for child in _family(pid)}
    return sum(_own_cpu_s(process) for process in found)


def resident_mb(pid: int) -> float:
    """Resident memory of a process and all below it, in MB."""
    return sum(process.memory_info().rss for process in _family(pid)) / 1e6


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _own_cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
        return float(times.user + times.system)
    except psutil.NoSuchProcess:
        return 0.0


def _matmul_ms() -> float:
    matrix = torch.rand(1024, 1024)
    times = []
    for _ in range(9):
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
