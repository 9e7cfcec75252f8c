"""Questions that tests ask of a CloudFormation template."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, with the logical id of the role it belongs to."""

    role: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]

    def touches(self, logical_id: str) -> bool:
        return logical_id in json.dumps(self.resources)


class Template:
    """A synthesised template."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.resources: dict[str, Resource] = document["Resources"]

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Properties of all resources of a type by logical id."""
        return {name: item.get("Properties", {}) for name, item in self.resources.items() if item["Type"] == kind}

    def functions(self) -> dict[str, Resource]:
        """Properties of all functions by physical name."""
        return {item["FunctionName"]: item for item in self.of_type("AWS::Lambda::Function").values()}

    def table(self, name: str) -> tuple[str, Resource]:
        """Logical id and properties of the table ``apex-dev-<name>``."""
        found = [pair for pair in self.of_type("AWS::DynamoDB::Table").items() if pair[1]["TableName"] == name]
        assert len(found) == 1, f"{len(found)} tables are called {name}"
        return found[0]

    def statements(self) -> Iterator[Statement]:
        """Every allowing statement of every role's policies."""
        for policy in self.of_type("AWS::IAM::Policy").values():
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for role in policy["Roles"]:
                    yield Statement(role["Ref"], _tuple(statement["Action"]), _tuple(statement["Resource"]))

    def role_of(self, function: str) -> str:
        """Logical id of a function's role."""
        role: str = self.functions()[function]["Role"]["Fn::GetAtt"][0]
        return role


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
