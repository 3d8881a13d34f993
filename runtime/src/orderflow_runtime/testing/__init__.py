"""What an author of a service tests with: doubles of Kafka, Postgres and the clock, and a `Harness` that has it run.

`docs/services.md` shows a test in ten lines. Nothing here needs a test framework, and no image carries it. The doubles
keep the promises of the ports that the real ones keep, and are what the runtime's own tests stand on.
"""

from orderflow_runtime.core.event_log import LogUnavailable
from orderflow_runtime.core.store import StoreUnavailable
from orderflow_runtime.testing.clock import FakeClock
from orderflow_runtime.testing.faults import Faults, FaultStep
from orderflow_runtime.testing.harness import Harness, NotSettledError
from orderflow_runtime.testing.memory_log import MemoryCluster, MemoryLog
from orderflow_runtime.testing.memory_store import MemoryStore

__all__ = [
    "FakeClock",
    "FaultStep",
    "Faults",
    "Harness",
    "LogUnavailable",
    "MemoryCluster",
    "MemoryLog",
    "MemoryStore",
    "NotSettledError",
    "StoreUnavailable",
]
