"""The journal and the effect ledger on DynamoDB."""
