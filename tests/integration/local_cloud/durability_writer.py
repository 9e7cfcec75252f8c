"""A process to be killed: writes items, transactions and objects for ever, saying each one once it is acknowledged.

``python -m tests.integration.local_cloud.durability_writer DIRECTORY ROUND``
"""

import sys
from pathlib import Path

from infra.local.durability import Durability
from tests.integration.local_cloud.data_rig import client, data_repairs, make_tables, moto_with


def main() -> None:
    directory, life = Path(sys.argv[1]), sys.argv[2]
    with moto_with(data_repairs()):
        durability = Durability(directory)
        dynamodb, storage = make_tables(), client("s3")
        storage.create_bucket(Bucket=f"payloads-{life}")
        durability.attach(buckets={"payloads": f"payloads-{life}"})
        number = 0
        while True:
            number += 1
            name = f"{life}-{number}"
            head = {"pk": {"S": "head"}, "sk": {"S": life}}
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": "events", "Item": {"pk": {"S": life}, "n": {"N": str(number)}}}},
                    {
                        "Update": {
                            "TableName": "things",
                            "Key": head,
                            "UpdateExpression": "SET latest = :n",
                            "ExpressionAttributeValues": {":n": {"N": str(number)}},
                        }
                    },
                ]
            )
            storage.put_object(Bucket=f"payloads-{life}", Key=name, Body=name.encode())
            if number > 1:
                dynamodb.delete_item(TableName="names", Key={"pk": {"S": f"{life}-{number - 1}"}})
            dynamodb.put_item(TableName="names", Item={"pk": {"S": name}})
            print(number, flush=True)


if __name__ == "__main__":
    main()
