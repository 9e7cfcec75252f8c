"""The outside world on one machine: flights, hotels, payments, each with a store and a ledger of its own.

They stand in for other people's services, so nothing here takes part in the orchestrator's transactions: an
effect is visible once a provider's ledger has it, whatever the caller believes. ``Providers.start()`` runs the
three in a process; ``python -m infra.local.providers --dir DIR`` does the same from a shell.

Reading order: ``provider`` (keys, tombstones, undo), ``flights`` / ``hotels`` / ``payments`` (what is sold),
``store`` (SQLite), ``faults`` (what can be made to go wrong), ``server`` (HTTP), ``process`` (the handle).
"""

from infra.local.providers.process import Providers

__all__ = ["Providers"]
