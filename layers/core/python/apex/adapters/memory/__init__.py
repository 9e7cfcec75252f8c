"""Everything in memory: for tests, for the simulator, and as the plainest statement of what a port means."""

from apex.adapters.memory.clock import ManualClock
from apex.adapters.memory.executions import RecordingExecutions, Started
from apex.adapters.memory.instances import MemoryDeadLetters, MemoryInstances
from apex.adapters.memory.store import MemoryStore

__all__ = ["ManualClock", "MemoryDeadLetters", "MemoryInstances", "MemoryStore", "RecordingExecutions", "Started"]
