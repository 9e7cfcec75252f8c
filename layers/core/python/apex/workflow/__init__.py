"""What happens to a workflow, as pure functions: transitions, waves, references, validation, the fold."""
