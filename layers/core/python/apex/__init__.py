"""APEX: carries out goals as sagas whose effects happen at most once.

Imports point one way, from the edge to the core: ``schema``, ``workflow``, ``policy``, ``ports``, then ``planning``,
``adapters`` and ``tools`` side by side, then ``app``. Read it in this order.
"""
