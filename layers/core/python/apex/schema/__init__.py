"""What is stored and sent: events, envelopes, plans, ledger entries. Pure models, no I/O."""
