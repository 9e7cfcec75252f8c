"""The CDK app of the small house that the tests of the local cloud run."""

from aws_cdk import App

from infra.cloud.house import read_house
from infra.cloud.needs import Needs
from infra.cloud.settings import Settings
from infra.cloud.stack import ApexStack

NEEDS = {
    "fixture_echo": Needs(timeout=10),
    "fixture_trouble": Needs(timeout=1),
}


def main() -> None:
    settings = Settings.from_environment()
    app = App(analytics_reporting=False)
    ApexStack(app, settings, read_house(settings), NEEDS)
    app.synth()


if __name__ == "__main__":
    main()
