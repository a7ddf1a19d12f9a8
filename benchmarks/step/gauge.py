"""What a step costs on the device that computes it: seconds between two marks, and memory in bytes."""

import resource
import time
from pathlib import Path
from typing import Any, Protocol

import torch


class Gauge(Protocol):
    """A clock and a scale for memory."""

    def mark(self) -> Any:
        """A point in time, for `seconds`."""
        ...

    def seconds(self, began: Any, ended: Any) -> float:
        """Between two marks."""
        ...

    def resident(self) -> int:
        """Memory in use now; on a GPU its peak starts anew."""
        ...

    def peak(self) -> int:
        """The most memory that was in use."""
        ...


class CpuGauge:
    """CPU seconds of this process, which with one thread exclude what else the machine does; resident memory."""

    def mark(self) -> float:
        return time.process_time()

    def seconds(self, began: float, ended: float) -> float:
        return ended - began

    def resident(self) -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()

    def peak(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class GpuGauge:
    """Seconds on the timeline of the GPU, whose gaps count, by events that make nothing wait; tensors of torch."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, began: torch.cuda.Event, ended: torch.cuda.Event) -> float:
        ended.synchronize()
        return began.elapsed_time(ended) / 1000

    def resident(self) -> int:
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated()


def gauge_of_this_machine() -> Gauge:
    return GpuGauge() if torch.cuda.is_available() else CpuGauge()
