"""The template of this repository, as it would be deployed."""

import json
from pathlib import Path

import pytest

from infra.cloud.house import House, read_house
from infra.cloud.settings import Settings
from infra.local.synth import synthesise, template_path
from tests.infra.template import Template


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings()


@pytest.fixture(scope="session")
def house(settings: Settings) -> House:
    return read_house(settings)


@pytest.fixture(scope="session")
def assembly(settings: Settings) -> Path:
    return synthesise(settings.env, settings.root)


@pytest.fixture(scope="session")
def template(assembly: Path) -> Template:
    return Template(json.loads(template_path(assembly).read_text(encoding="utf-8")))
