"""Journals as released versions wrote them, replayed on every build."""
