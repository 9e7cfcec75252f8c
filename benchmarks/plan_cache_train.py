"""Train the plan cache's verifier: ``python -m benchmarks.plan_cache_train --data FOLDER [--out FILE] [--half]``.

Needs scikit-learn, which nothing else here needs. Trained on HWU64/SLURP goals (CC BY 4.0: Liu et al. 2019,
Bastianelli et al. 2020) and SNIPS goals (CC0 1.0: Coucke et al. 2018), whose licences allow shipping what is derived
from them with attribution; share-alike data (SGD) is kept out and serves as a test. No word of the data is in the
model: its features are counts, shares and margins.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path
from typing import Any

from apex.cache.features import NAMES
from apex.cache.plans import PlanCache
from apex.cache.shapes import TooMuchWork
from apex.cache.templates import Plan
from apex.cache.text import Goal
from apex.cache.trees import Model
from infra.cli.plan_cache_bench import Record, gold, judge, read_records

CORPORA = ("hwu", "snips")
KINDS = ("natural", "zipf")

TREES = 200
PROVENANCE = (
    "Boosted trees over alignment features of goals of HWU64/SLURP (CC BY 4.0; Liu et al., IWSDS 2019; Bastianelli et "
    "al., EMNLP 2020) and the SNIPS custom intent engines (CC0 1.0; Coucke et al., 2018), made by "
    "benchmarks/plan_cache_train.py; the file holds no text of them."
)


def main() -> None:
    """Replay the streams, fit, and write the model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with natural_*.jsonl and zipf_*.jsonl")
    parser.add_argument("--out", type=Path, default=Path("layers/core/python/apex/cache/verifier.json"))
    parser.add_argument("--replays", type=int, default=6, help="orders in which each stream is replayed (6)")
    parser.add_argument("--half", action="store_true", help="train on one half of the patterns, to test on the other")
    given = parser.parse_args()
    rows: list[list[float]] = []
    labels: list[bool] = []
    for corpus in CORPORA:
        for kind in KINDS:
            records = read_records(given.data / f"{kind}_{corpus}.jsonl")
            for seed in range(given.replays):
                replay([r for r in records if not given.half or half(r)], seed, rows, labels)
            if kind == "zipf":
                cold([r for r in records if not given.half or half(r)], 0, rows, labels)
    print(f"{len(rows)} candidates, {sum(labels)} of them right")
    given.out.write_text(json.dumps(fit(rows, labels), separators=(",", ":")) + "\n", "utf-8")


def half(record: Record) -> bool:
    """Whether a record is in the first half: whole patterns of an intent stay together."""
    key = f"{record['tenant']}{record['intent']}{record['pattern']}" if "pattern" in record else record["id"]
    return not hashlib.sha256(key.encode()).digest()[0] & 1


def replay(records: list[Record], seed: int, rows: list[list[float]], labels: list[bool]) -> None:
    """One stream in one order through an empty cache; every candidate becomes a row."""
    rng = random.Random(seed)
    if seed:
        records = rng.sample(records, len(records))
    # In use, goals that are served are not admitted again; how many depends on the threshold.
    admitted = rng.choice((0.2, 0.5, 1.0))
    cache = PlanCache(Model(NAMES, 0.0, ()))
    for record in records:
        if not weigh(cache, record, rows, labels) or rng.random() < admitted:
            cache.admit(record["text"], gold(record))


def cold(records: list[Record], seed: int, rows: list[list[float]], labels: list[bool], episodes: int = 1200) -> None:
    """Small caches: one wording of what is wanted among others, as on a tenant's first day."""
    rng = random.Random(seed)
    groups: dict[tuple[str, object], list[Record]] = {}
    for record in records:
        groups.setdefault((record["intent"], record.get("pattern")), []).append(record)
    repeated = [group for group in groups.values() if len(group) > 1]
    for _ in range(episodes):
        first, *queries = rng.sample(chosen := rng.choice(repeated), min(4, len(chosen)))
        queries += [record for record in rng.sample(records, 60) if record["intent"] == first["intent"]][:2]
        queries += rng.sample(records, 2)
        others = [r for r in rng.sample(records, 80) if r["intent"] != first["intent"]][: rng.choice((10, 25, 40))]
        cache = PlanCache(Model(NAMES, 0.0, ()))
        for record in (*others, first):
            cache.admit(record["text"], gold(record))
        for record in queries:
            weigh(cache, record, rows, labels)


def weigh(cache: PlanCache, record: Record, rows: list[list[float]], labels: list[bool]) -> bool:
    """Add a row for each candidate; whether one of them was right."""
    goal, wanted = Goal.read(record["text"]), gold(record)
    try:
        found = cache.candidates(goal)
    except TooMuchWork:
        return False
    right = [judge(Plan(match.template.intent, match.arguments(goal)), wanted) == "right" for match in found.matches]
    rows += found.rows
    labels += right
    return any(right)


def fit(rows: list[list[float]], labels: list[bool]) -> dict[str, Any]:
    """The trained model as plain data."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=0.08,
        max_leaf_nodes=16,
        min_samples_leaf=40,
        l2_regularization=5,
        max_features=0.4,
        random_state=0,
    ).fit(rows, labels)
    trees = [[_node(node) for node in predictors[0].nodes] for predictors in model._predictors]
    return {
        "provenance": PROVENANCE,
        "features": NAMES,
        "base": float(model._baseline_prediction[0, 0]),
        "trees": trees,
    }


def _node(node: Any) -> list[float]:
    if node["is_leaf"]:
        return [-1, 0, 0, 0, round(float(node["value"]), 6)]
    return [
        int(node["feature_idx"]),
        float(node["num_threshold"]),
        int(node["left"]),
        int(node["right"]),
        0,
    ]


if __name__ == "__main__":
    main()
