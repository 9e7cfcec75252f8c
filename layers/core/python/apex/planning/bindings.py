"""How the inputs of a worked example take the entities of a goal.

By structure, never by replacing text in JSON: ``{"$slot": "destination"}`` stands for the value of a slot,
``{"$slot": "amount.currency"}`` for a part of it, ``{"$text": ["Trip to ", {"$slot": "destination"}]}`` for text put
together. References to earlier results (``{{s1.flight_id}}``) are ordinary text here and stay as they are.
"""

from collections.abc import Mapping, Set
from typing import Any

from apex.planning.entities import PARTS, Entity, Kind

SLOT, TEXT = "$slot", "$text"


def check(value: Any, slots: Mapping[str, Kind], where: str, problems: list[str]) -> Set[str]:
    """The names of the slots that ``value`` uses; whatever is wrong with its bindings is added to ``problems``."""
    if isinstance(value, Mapping):
        if SLOT in value:
            return _check_slot(value, slots, where, problems)
        if TEXT in value:
            return _check_text(value, slots, where, problems)
        problems += [f"{where}: {key} is neither {SLOT} nor {TEXT}" for key in value if key.startswith("$")]
        return _all_names(check(item, slots, f"{where}.{key}", problems) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return _all_names(check(item, slots, f"{where}[{index}]", problems) for index, item in enumerate(value))
    return frozenset()


def fill(value: Any, entities: Mapping[str, Entity]) -> Any:
    """A copy of ``value`` with every binding replaced. ``check`` must have found nothing wrong with it."""
    if isinstance(value, Mapping):
        if SLOT in value:
            return _entity_part(value[SLOT], entities)
        if TEXT in value:
            return "".join(_as_text(piece, entities) for piece in value[TEXT])
        return {key: fill(item, entities) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, entities) for item in value]
    return value


def _all_names(found: Any) -> Set[str]:
    return frozenset().union(*found)


def _check_slot(value: Mapping[str, Any], slots: Mapping[str, Kind], where: str, problems: list[str]) -> Set[str]:
    path = value[SLOT]
    if len(value) != 1 or not isinstance(path, str):
        problems.append(f"{where}: {SLOT} takes the name of a slot, and nothing may stand beside it")
        return frozenset()
    name, dot, part = path.partition(".")
    if name not in slots:
        problems.append(f"{where}: there is no slot {name!r} in the goal")
        return frozenset()
    if dot and part not in PARTS[slots[name]]:
        known = ", ".join(sorted(PARTS[slots[name]]))
        problems.append(f"{where}: a slot of kind {slots[name]} has no part {part!r}, only {known}")
    return frozenset({name})


def _check_text(value: Mapping[str, Any], slots: Mapping[str, Kind], where: str, problems: list[str]) -> Set[str]:
    pieces = value[TEXT]
    if len(value) != 1 or not isinstance(pieces, (list, tuple)):
        problems.append(f"{where}: {TEXT} takes a list, and nothing may stand beside it")
        return frozenset()
    names: Set[str] = frozenset()
    for index, piece in enumerate(pieces):
        if isinstance(piece, Mapping) and SLOT in piece:
            names |= _check_slot(piece, slots, f"{where}[{index}]", problems)
        elif not isinstance(piece, str):
            problems.append(f"{where}[{index}]: a piece of {TEXT} is a string or a {SLOT}")
    return names


def _entity_part(path: str, entities: Mapping[str, Entity]) -> Any:
    name, _, part = path.partition(".")
    return entities[name].part(part or None)


def _as_text(piece: Any, entities: Mapping[str, Entity]) -> str:
    if isinstance(piece, str):
        return piece
    value = _entity_part(piece[SLOT], entities)
    # An amount as a whole has no plain text of its own but the one the person wrote.
    return entities[piece[SLOT]].text if isinstance(value, dict) else str(value)
