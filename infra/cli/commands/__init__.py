"""One module per verb. What needs the local cloud is imported when a verb runs, so that the others start at once."""
