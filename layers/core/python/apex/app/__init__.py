"""The use cases: submit, find and make a plan, run and undo a step, roll back, close."""
