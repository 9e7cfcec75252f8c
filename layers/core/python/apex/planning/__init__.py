"""Planning without a model: worked examples that the tools declare, found again by exact wording."""
