"""Replacing attributes of moto's classes and modules, and putting back what was there."""

from typing import Any

from infra.local.repairs import Undo

_ABSENT = object()


def replace(*changes: tuple[Any, str, Any]) -> Undo:
    """Set each (owner, attribute name, new value); the function returned restores the attributes as they were.

    The raw attribute is kept, not what looking it up gives, so that static methods stay static and an attribute that
    was only inherited is inherited again afterwards.
    """
    before = [(owner, name, vars(owner).get(name, _ABSENT)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)

    def undo() -> None:
        for owner, name, value in reversed(before):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)

    return undo
