"""Goes wrong in the way the event asks for."""

import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3


class PaymentDeclined(Exception):
    pass


def handler(event: dict[str, Any], context: Any) -> Any:
    kind = event["kind"]
    if kind == "raise":
        raise PaymentDeclined("no credit left")
    if kind == "sleep":
        time.sleep(event["seconds"])
        Path(event["mark"]).write_text("finished", encoding="utf-8")
        return "finished"
    if kind == "not-json":
        return {1, 2}
    if kind == "decimal":
        return {"price": Decimal("12.30"), "pair": (1, 2)}
    if kind == "exit":
        sys.exit(3)
    if kind == "die":
        os._exit(4)
    if kind == "print":
        print(event["text"])
        return None
    if kind == "read":
        client = boto3.client("dynamodb")
        return client.get_item(TableName=os.environ["APEX_STATE_TABLE"], Key=event["key"])["Item"]
    if kind == "environment":
        return os.environ.get(event["name"])
    return {"pid": os.getpid()}
