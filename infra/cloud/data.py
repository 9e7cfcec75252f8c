"""Where the truth lives: the tables, and the bucket for what is too large for an item."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from apex.adapters.dynamodb.tables import TABLES, TableSpec
from infra.cloud.settings import Settings, camel

# The journal is append-only by permission, not only by habit: no role can change or delete an event.
_WRITES = {
    "journal": ("dynamodb:PutItem", "dynamodb:ConditionCheckItem"),
    "state": (
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
    ),
    # The read model is only ever replaced by what follows it.
    "workflow_instances": ("dynamodb:PutItem",),
}
_WRITES_OF_OTHER_TABLES = (
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
)
_READS = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")


class Data(Construct):
    """All tables of ``apex.adapters.dynamodb.tables`` and the payload bucket."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "Data")
        self._settings = settings
        self.tables = {spec.name: self._table(spec) for spec in TABLES}
        self.bucket = s3.Bucket(
            self,
            "Payloads",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1))],
            removal_policy=self._removal,
        )

    def read_tables(self, grantee: iam.IGrantable, tables: tuple[str, ...]) -> None:
        """Let ``grantee`` read items of the named tables and their indexes."""
        for name in tables:
            self._grant(grantee, name, _READS, with_indexes=True)

    def write_tables(self, grantee: iam.IGrantable, tables: tuple[str, ...]) -> None:
        """Let ``grantee`` write to the named tables; to the journal that means: append."""
        for name in tables:
            self._grant(grantee, name, _WRITES.get(name, _WRITES_OF_OTHER_TABLES), with_indexes=False)

    def use_payloads(self, grantee: iam.IGrantable, *, write: bool) -> None:
        """Let ``grantee`` read, and with ``write`` also store, payloads in the bucket."""
        actions = ["s3:GetObject", "s3:PutObject"] if write else ["s3:GetObject"]
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=actions, resources=[self.bucket.arn_for_objects("*")])
        )

    @property
    def _removal(self) -> RemovalPolicy:
        return RemovalPolicy.DESTROY if self._settings.disposable else RemovalPolicy.RETAIN

    def _table(self, spec: TableSpec) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            camel(spec.name),
            table_name=f"{self._settings.prefix}-{spec.name}",
            partition_key=_key(spec.partition_key),
            sort_key=_key(spec.sort_key, numeric=spec.sort_type == "N"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            stream=dynamodb.StreamViewType.NEW_IMAGE if spec.stream else None,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            time_to_live_attribute=spec.ttl_attribute,
            deletion_protection=not self._settings.disposable,
            removal_policy=self._removal,
        )
        for index in spec.indexes:
            table.add_global_secondary_index(
                index_name=index.name,
                partition_key=_key(index.partition_key),
                sort_key=_key(index.sort_key),
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        return table

    def _grant(self, grantee: iam.IGrantable, name: str, actions: tuple[str, ...], *, with_indexes: bool) -> None:
        arn = self.tables[name].table_arn
        resources = [arn, f"{arn}/index/*"] if with_indexes else [arn]
        grantee.grant_principal.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=resources))


def _key(name: str, *, numeric: bool = False) -> dynamodb.Attribute:
    kind = dynamodb.AttributeType.NUMBER if numeric else dynamodb.AttributeType.STRING
    return dynamodb.Attribute(name=name, type=kind)
