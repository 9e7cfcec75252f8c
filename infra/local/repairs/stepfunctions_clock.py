"""The time that passes in the local Step Functions: Wait states and the pauses between retries.

Timeouts of tasks and machines are real time and are not scaled, because real handlers run under them.
"""

import contextlib
import time
from collections.abc import Iterator

from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment

from infra.local.repairs import Repair
from infra.local.repairs.stepfunctions_patching import replace

# A waiting thread is woken by a pulse that it can miss while it gets ready, so it looks up this often (seconds).
_GLANCE = 0.5


class _Clock:
    scale = 1.0


@contextlib.contextmanager
def time_scale(factor: float) -> Iterator[None]:
    """Let waits and retry pauses last ``factor`` times as long while the context is open: 0.01 is a hundredth.

    It holds for all executions of the process. Raises ValueError for a negative factor.
    """
    if factor < 0:
        raise ValueError(f"time cannot run backwards: {factor}")
    before = _Clock.scale
    _Clock.scale = factor
    try:
        yield
    finally:
        _Clock.scale = before


def pause(env: Environment, seconds: float) -> None:
    """Wait in an execution, scaled, and no longer than the execution itself runs."""
    end = time.monotonic() + seconds * _Clock.scale
    while env.is_running() and (left := end - time.monotonic()) > 0:
        env.program_state_event.wait(min(left, _GLANCE))


def _wait_interval(_: WaitFunction, env: Environment, wait_seconds: float) -> None:
    pause(env, wait_seconds)


def _retry(self: RetrierDecl, env: Environment) -> None:
    self.error_equals.eval(env)
    if not env.stack.pop():
        env.stack.append(RetrierOutcome.Skipped)
        return
    self.max_attempts.eval(env=env)
    if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
        env.stack.append(RetrierOutcome.Failed)
        return
    self.interval_seconds.eval(env=env)
    self.backoff_rate.eval(env=env)
    self.max_delay_seconds.eval(env=env)
    self.jitter_strategy.eval(env=env)
    seconds: float = env.stack.pop()
    pause(env, seconds)
    env.stack.append(RetrierOutcome.Executed)


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-wait",
        "a Wait counts in whole seconds, cannot be scaled, and outlives its execution when it misses the wake-up call",
        lambda: replace((WaitFunction, "_wait_interval", _wait_interval)),
    ),
    Repair(
        "stepfunctions-retry-pause",
        "the pause before a retry goes on after the execution has ended, and cannot be scaled",
        lambda: replace((RetrierDecl, "_eval_body", _retry)),
    ),
)
