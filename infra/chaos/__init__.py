"""The fault simulator: generated plans under generated faults, against providers that keep a ledger of their own.

It drives the application's own code: the use cases, the DynamoDB store, the tools' runtime and the state machines as
they are written in ``statemachines/``. Only what is underneath is replaced, by parts that one scheduler controls: time,
the tables, the providers and the engine that runs the machines.
"""
