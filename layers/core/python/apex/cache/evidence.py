"""What the admitted goals say about words: which intent they come with, and whether they are values or wording."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import Any

LITERAL = ""
"""The role of a word that is wording, not part of a value."""

NOTHING: Mapping[Any, int] = {}


class Evidence:
    """Counts over admitted goals; every question is answered in time that does not grow with their number."""

    def __init__(self) -> None:
        self.goals: Counter[str] = Counter()
        self.words: dict[str, Counter[str]] = {}
        self.roles: dict[tuple[str, str], Counter[str]] = {}
        self.anywhere: dict[str, Counter[bool]] = {}
        self.before: dict[tuple[str, str], Counter[str]] = {}
        self.after: dict[tuple[str, str], Counter[str]] = {}
        self.layouts: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def learn(self, intent: str, keys: Sequence[str], roles: Sequence[str]) -> None:
        """Count one goal; ``roles`` holds ``LITERAL`` or the argument's name for each word."""
        self.goals[intent] += 1
        slots = [role for index, role in enumerate(roles) if role != LITERAL and roles[index - 1 : index] != [role]]
        self.layouts[intent, tuple(sorted(slots))] += 1
        for word in set(keys):
            self.words.setdefault(word, Counter())[intent] += 1
        for index, (word, role) in enumerate(zip(keys, roles, strict=True)):
            self.roles.setdefault((intent, word), Counter())[role] += 1
            self.anywhere.setdefault(word, Counter())[role == LITERAL] += 1
            if role != LITERAL:
                if index == 0 or roles[index - 1] != role:
                    left = keys[index - 1] if index and roles[index - 1] == LITERAL else ""
                    self.before.setdefault((intent, left), Counter())[role] += 1
                if index + 1 == len(keys) or roles[index + 1] != role:
                    last = index + 1 == len(keys) or roles[index + 1] != LITERAL
                    self.after.setdefault((intent, "" if last else keys[index + 1]), Counter())[role] += 1

    def likelihoods(self, keys: Iterable[str]) -> dict[str, float]:
        """The log-likelihood of the words under each intent that any of them came with (naive Bayes)."""
        words = [self.words[word] for word in set(keys) if word in self.words]
        intents = set().union(*words) if words else set()
        goals = sum(self.goals.values())
        scores = {}
        for intent in intents:
            base = self.goals[intent]
            score = log(base / goals)
            for counts in words:
                score += log((counts[intent] + 0.1) / (base + 0.2))
            scores[intent] = score
        return scores
