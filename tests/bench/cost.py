"""What the flow's processes cost: CPU seconds and memory, by name. A reading is taken before and after each part.

A process's ended children count with it, so that Postgres backends of connections that were closed are not lost.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Reading:
    """CPU seconds so far, by process name; those of this process, and of the whole machine."""

    by_name: dict[str, float]
    client: float
    machine: float

    def since(self, earlier: "Reading") -> "Reading":
        """Give the difference."""
        spent = {name: cpu - earlier.by_name.get(name, 0.0) for name, cpu in self.by_name.items()}
        return Reading(spent, self.client - earlier.client, self.machine - earlier.machine)

    @property
    def total(self) -> float:
        """All that the system under test spent."""
        return sum(self.by_name.values())

    @property
    def others(self) -> float:
        """What neither the system nor this process spent: the noise of the machine."""
        return max(0.0, self.machine - self.total - self.client)


def read(pids: Mapping[str, int]) -> Reading:
    """Read the CPU clocks of these processes and their descendants."""
    return Reading({name: _tree_cpu(pid) for name, pid in pids.items()}, sum(os.times()[:2]), _busy())


def memory_mb(pids: Mapping[str, int]) -> tuple[dict[str, float], str]:
    """Give memory in MiB by name, and its kind: PSS where the kernel tells it (shared pages count once), else RSS."""
    kind = "pss" if hasattr(psutil.Process().memory_full_info(), "pss") else "rss"
    return {name: sum(_memory(process, kind) for process in _tree(pid)) / 2**20 for name, pid in pids.items()}, kind


def _tree_cpu(pid: int) -> float:
    return sum(_cpu(process) for process in _tree(pid))


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))  # user, system, and the same of children that ended
    return 0.0


def _memory(process: psutil.Process, kind: str) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(getattr(process.memory_full_info(), kind))
    return 0.0


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
