"""What the local cloud mends in moto, one named repair at a time.

A repair replaces one behaviour of moto that differs from AWS. It names the defect it mends, and it can be taken back:
``install`` puts the repair in place and returns a function that restores what was there before. Every module of this
package offers its repairs as ``REPAIRS``, and every repair has a guard test that fails once moto no longer needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass

Undo = Callable[[], None]


@dataclass(frozen=True)
class Repair:
    """One defect of moto and how it is mended; ``install`` returns the function that takes the repair back."""

    name: str
    defect: str
    install: Callable[[], Callable[[], None]]
