"""Describes the machine for RESULTS.md, without names or paths."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = (
    "pulumi",
    "grpcio",
    "protobuf",
    "httpx",
    "httpcore",
    "h11",
    "msgspec",
    "tenacity",
    "truststore",
    "aiohttp",
)


def describe() -> list[str]:
    """The facts that influence the figures, one a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    return [
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), shared with others; load {load} at the start",
        f"{memory:.0f} GiB of memory",
        f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def peak_memory() -> float:
    """The peak memory of this process in MB: VmHWM, since `ru_maxrss` starts with the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM")
