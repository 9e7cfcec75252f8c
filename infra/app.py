"""The CDK app: ``cdk synth`` and the local cloud run this file."""

from infra.cloud.settings import Settings
from infra.cloud.stack import build_app


def main() -> None:
    """Synthesise the stack that the process environment describes (APEX_ENV) into the CDK output folder."""
    build_app(Settings.from_environment()).synth()


if __name__ == "__main__":
    main()
