"""Runs annotated goals through the plan cache, the gold label playing the planner, and counts what was right."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from apex.cache.plans import PlanCache
from apex.cache.templates import Plan
from apex.errors import InvalidInput

BACKGROUND = 40
"""Other entries in the cache when an adversarial pair is tried."""

_LEADING = frozenset({
    "a", "an", "the", "to", "in", "on", "at", "for", "from", "of", "with", "by", "near", "about", "into", "onto",
    "around", "within", "until", "till", "since",
})  # fmt: skip
_Z95 = 1.959963984540054

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """The records of a JSONL file; raises ``InvalidInput`` with the line that is none."""
    records = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path}:{number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise InvalidInput(f"{path}:{number} is not a JSON object")
        records.append(record)
    return records


def gold(record: Record) -> Plan:
    """The plan that a perfect planner makes of a record."""
    slots = record.get("slots") or ()
    return Plan(record["intent"], tuple((slot["name"], slot["value"]) for slot in slots))


def comparable(value: str) -> str:
    """A value as it is compared: lower case, without punctuation, possessives, a leading article or preposition."""
    value = re.sub(r"'s\b", "", value.lower().replace("’", "'"))
    words = re.sub(r"[^\w\s]", "", value).split()
    while len(words) > 1 and words[0] in _LEADING:
        del words[0]
    return " ".join(words)


def judge(served: Plan, wanted: Plan) -> str:
    """``right``, or what is wrong: the ``intent``, the names of the ``slots``, or their ``values``."""
    if served.intent != wanted.intent:
        return "intent"
    pairs = [sorted((name, comparable(value)) for name, value in plan.arguments) for plan in (served, wanted)]
    if [name for name, _ in pairs[0]] != [name for name, _ in pairs[1]]:
        return "slots"
    return "right" if pairs[0] == pairs[1] else "values"


def wilson_low(right: int, total: int) -> float | None:
    """The lower end of the 95 % Wilson interval of a share; None of nothing."""
    if not total:
        return None
    share = right / total
    middle = share + _Z95**2 / (2 * total)
    spread = _Z95 * sqrt(share * (1 - share) / total + _Z95**2 / (4 * total**2))
    return (middle - spread) / (1 + _Z95**2 / total)


@dataclass(slots=True)
class StreamResult:
    """What became of one stream."""

    decisions: list[Record] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    tiers: Counter[int] = field(default_factory=Counter)

    def summary(self) -> Record:
        """The figures of the whole stream."""
        requests, hits = len(self.decisions), sum(self.verdicts.values())
        right = self.verdicts["right"]
        times = sorted(decision["latency_ms"] for decision in self.decisions)
        return {
            "requests": requests,
            "hits": hits,
            "hit_rate": hits / requests if requests else 0.0,
            "correct": right,
            "precision": right / hits if hits else None,
            "wrong": {kind: self.verdicts[kind] for kind in ("intent", "slots", "values")},
            "wrong_per_1000": 1000 * (hits - right) / requests if requests else 0.0,
            "wilson_95_low": wilson_low(right, hits),
            "tiers": {str(tier): count for tier, count in sorted(self.tiers.items())},
            "p50_ms": _at(times, 0.5),
            "p99_ms": _at(times, 0.99),
        }


def run_stream(records: Iterable[Record], *, strict: bool = False) -> StreamResult:
    """Send the records through an empty cache for each tenant, in their order."""
    caches: dict[str, PlanCache] = {}
    templates: dict[tuple[str, int], str] = {}
    result = StreamResult()
    for record in records:
        if record.get("slots") is None:
            raise InvalidInput(f"the record {record.get('id')} is not annotated: its slots are null")
        tenant = record["tenant"]
        cache = caches.setdefault(tenant, PlanCache(strict=strict))
        started = time.perf_counter()
        answer = cache.look_up(record["text"])
        elapsed = 1000 * (time.perf_counter() - started)
        wanted = gold(record)
        if answer.plan is None:
            templates[tenant, cache.admit(record["text"], wanted)] = record["id"]
        else:
            result.verdicts[judge(answer.plan, wanted)] += 1
            result.tiers[answer.tier or 0] += 1
        source = None if answer.plan is None else templates.get((tenant, answer.template or 0))
        result.decisions.append(_decision(record, answer.plan, answer.tier, source, elapsed))
    return result


def run_pairs(pairs: Sequence[Record], *, strict: bool = False) -> Record:
    """Try each pair in isolation, with other entries in the cache whose intent is not the query's."""
    wrong: Counter[str] = Counter()
    hits = Counter[str]()
    for number, pair in enumerate(pairs):
        cache = PlanCache(strict=strict)
        for other in [*_background(pairs, number), pair["cached"]]:
            cache.admit(other["text"], gold(other))
        answer = cache.look_up(pair["query"]["text"])
        hits["pairs"] += pair["expect"] == "hit"
        if answer.plan is None:
            continue
        right = judge(answer.plan, gold(pair["query"])) == "right" and pair["expect"] != "miss"
        if right:
            hits["served"] += pair["expect"] == "hit"
        else:
            wrong[pair["kind"]] += 1
    return {
        "pairs": len(pairs),
        "wrong": sum(wrong.values()),
        "wrong_by_kind": dict(sorted(wrong.items())),
        "hit_pairs": hits["pairs"],
        "hits_served": hits["served"],
    }


def _background(pairs: Sequence[Record], number: int) -> Iterator[Record]:
    """The cached sides of the pairs that follow, going round, each wording once."""
    query, seen = pairs[number]["query"], {pairs[number]["cached"]["text"]}
    for step in range(1, len(pairs)):
        other = pairs[(number + step) % len(pairs)]["cached"]
        if len(seen) > BACKGROUND:
            return
        if other["intent"] not in {query["intent"], pairs[number]["cached"]["intent"]} and other["text"] not in seen:
            seen.add(other["text"])
            yield other


def _decision(record: Record, plan: Plan | None, tier: int | None, source: str | None, elapsed: float) -> Record:
    arguments = () if plan is None else plan.arguments
    return {
        "id": record["id"],
        "hit": plan is not None,
        "tier": tier,
        "served_from": source,
        "intent": None if plan is None else plan.intent,
        "args": [{"name": name, "value": value} for name, value in arguments],
        "latency_ms": round(elapsed, 4),
    }


def _at(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
