"""Dead letters on SQS."""

import json
from collections.abc import Mapping
from typing import Any

from apex.adapters.dynamodb.answers import answered


class DeadLetterQueue:
    """One queue; ``client`` is a boto3 ``sqs`` client."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def set_aside(self, letter: Mapping[str, Any]) -> None:
        """Send it to the queue. Raises ``StoreError`` where the queue does not take it."""
        with answered():
            self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(letter))
