"""`apex demo`: four stories that end as told, and a demo that says so when one does not."""

from dataclasses import replace

import pytest

from apex.schema.ledger import Mode
from infra.cli import stories
from infra.cli.stories import STORIES, Claim
from tests.integration.cli.conftest import Shell, apex


def test_the_four_stories_end_as_told() -> None:
    done = apex("demo")

    assert done.code == 0, done.out + done.err
    assert done.err == ""
    for number, story in enumerate(STORIES, start=1):
        assert f"{number} of 4  {story.title}" in done.out
        assert story.goal in done.out
    assert done.out.count("✓ yes") == 4
    assert "does not hold" not in done.out
    declined = done.out.partition("3 of 4")[2].partition("4 of 4")[0]
    assert declined.index("cancel_hotel") < declined.index("cancel_flight")
    assert "nothing taken" not in declined
    lost = done.out.partition("4 of 4")[2]
    assert "unknown" in lost
    assert lost.index("card charged") < lost.index("card refunded")


def test_the_stories_as_a_document(shell: Shell) -> None:
    done = shell("demo", "--json")
    told = done.document

    assert done.code == 0
    assert told["as_told"] is True
    assert [story["workflow"]["status"] for story in told["stories"]] == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    charges = [
        [entry["kind"] for entry in story["ledger"] if entry["provider"] == "payments"] for story in told["stories"]
    ]
    assert charges == [["apply"], ["apply"], [], ["apply", "undo"]]


def test_a_story_that_does_not_end_as_told_fails_the_demo(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(STORIES[0], ends=Mode.FAILED, claims=(Claim("the moon was reached", lambda _: False),))
    monkeypatch.setattr(stories, "STORIES", (wrong, STORIES[1]))

    done = shell("demo")

    assert done.code == 1
    assert "✗ does not hold: the moon was reached" in done.out
    assert "✗ does not hold: the workflow ended FAILED" in done.out
    assert done.out.count("✓ yes") == 1


@pytest.mark.parametrize("number", [2, 3])
def test_claims_notice_what_the_providers_did_not_do(
    shell: Shell, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A story about trouble that does not come: the limit is high enough, the reply is not lost."""
    unspoilt = replace(STORIES[number], trouble=None, goal=STORIES[0].goal)
    monkeypatch.setattr(stories, "STORIES", (unspoilt,))

    done = shell("demo", "--json")

    assert done.code == 1
    broken = [claim["claim"] for claim in done.document["stories"][0]["claims"] if not claim["holds"]]
    assert len(broken) >= 4
    assert "inventory and credit are what they were before" in broken
