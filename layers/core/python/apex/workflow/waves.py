"""In which order steps run, and in which order they are undone."""

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from apex.schema.ledger import EffectState, Entry
from apex.schema.plan import Step


def waves(steps: Iterable[Step], done: Collection[str] = ()) -> list[list[Step]]:
    """The steps not yet done, wave by wave: each wave holds every step whose dependencies end in earlier waves.

    Within a wave the order of the plan is kept. Raises ``graphlib.CycleError`` where the dependencies go in circles.
    """
    remaining = [step for step in steps if step.id not in done]
    by_id = {step.id: step for step in remaining}
    position = {step.id: index for index, step in enumerate(remaining)}
    sorter = TopologicalSorter(
        {step.id: [dependency for dependency in step.depends_on if dependency in by_id] for step in remaining}
    )
    sorter.prepare()
    result: list[list[Step]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        result.append([by_id[step_id] for step_id in ready])
        sorter.done(*ready)
    return result


def find_cycle(steps: Iterable[Step]) -> list[str] | None:
    """The step ids along one cycle (first = last), or None where the plan has none."""
    steps = list(steps)
    known = {step.id for step in steps}
    try:
        TopologicalSorter({step.id: [d for d in step.depends_on if d in known] for step in steps}).prepare()
    except CycleError as error:
        return [str(node) for node in error.args[1]]
    return None


def rollback_order(step_ids: Iterable[str], entries: Mapping[str, Entry]) -> list[str]:
    """All steps, newest start first; those that never started come first of all, so that they are fenced at once."""
    unstarted: list[str] = []
    started: list[tuple[int, str]] = []
    for step_id in step_ids:
        entry = entries.get(step_id)
        if entry is None or entry.state is EffectState.NONE or entry.started_seq == 0:
            unstarted.append(step_id)
        else:
            started.append((entry.started_seq, step_id))
    return unstarted + [step_id for _, step_id in sorted(started, reverse=True)]
