"""What sagas consume of DynamoDB, as its answers report it, and how large the items are that they leave."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS
from botocore.model import OperationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item

from apex.adapters.dynamodb.tables import workflow_key
from apex.schema.ids import WorkflowRef
from infra.local.items import item_bytes
from infra.local.surroundings import ACCOUNT, REGION

_READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"})


@dataclass
class Units:
    """Capacity units of all DynamoDB calls of this process while ``counting``."""

    reads: float = 0.0
    writes: float = 0.0
    calls: int = 0
    by_operation: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counting: bool = False

    @contextmanager
    def count(self) -> Iterator["Units"]:
        """Count the calls made inside the block, beginning at zero."""
        self.reads, self.writes, self.calls = 0.0, 0.0, 0
        self.by_operation.clear()
        self.counting = True
        try:
            yield self
        finally:
            self.counting = False

    def ask(self, params: dict[str, Any], model: OperationModel, **_: Any) -> dict[str, Any] | None:
        """Have DynamoDB report what a call consumes; a hook of botocore."""
        if not self.counting or model.input_shape is None or "ReturnConsumedCapacity" not in model.input_shape.members:
            return None
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def add(self, parsed: dict[str, Any], model: OperationModel, **_: Any) -> None:
        """Add up what a call reported; a hook of botocore. A call that failed reports nothing."""
        if not self.counting or "ConsumedCapacity" not in parsed:
            return
        reported = parsed["ConsumedCapacity"]
        units = sum(table["CapacityUnits"] for table in (reported if isinstance(reported, list) else [reported]))
        self.calls += 1
        self.by_operation[model.name] += units
        if model.name in _READS:
            self.reads += units
        else:
            self.writes += units


@contextmanager
def units_of_new_clients() -> Iterator[Units]:
    """A meter for every DynamoDB client that is made inside the block."""
    units = Units()
    hooks = (("provide-client-params.dynamodb", units.ask), ("after-call.dynamodb", units.add))
    BUILTIN_HANDLERS.extend(hooks)
    try:
        yield units
    finally:
        for hook in hooks:
            BUILTIN_HANDLERS.remove(hook)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in bytes, by DynamoDB's rules."""

    count: int
    median: float
    largest: int


def item_sizes(refs: Iterable[WorkflowRef]) -> dict[str, Sizes]:
    """The items of these workflows by kind: head, step specification, ledger entry, journal event and so on."""
    found: dict[str, list[int]] = defaultdict(list)
    tables = dynamodb_backends[ACCOUNT][REGION].tables
    for ref in refs:
        for name, table in tables.items():
            for partition, held in table.items.items():
                if partition.value == workflow_key(ref.tenant, ref.workflow_id):
                    for item in held.values():
                        found[_kind(name, item)].append(item_bytes(item))
    return {kind: Sizes(len(sizes), median(sizes), max(sizes)) for kind, sizes in sorted(found.items())}


_KINDS = {
    "HEAD": "head",
    "SUBMITTED": "submitted plan",
    "SPEC": "step specification",
    "STEP": "ledger entry",
    "INSTANCE": "read model",
}


def _kind(table: str, item: Item) -> str:
    if table.endswith("-journal"):
        return "journal event"
    prefix: str = item.range_key.value.partition("#")[0]
    return _KINDS.get(prefix, prefix.lower())
