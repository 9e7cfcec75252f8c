"""The ports implemented on real services, and in memory."""
