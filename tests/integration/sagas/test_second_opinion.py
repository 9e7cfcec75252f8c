"""Every kind of run once more, and then a second, independent interpreter on the same definitions and the same
answers."""

from infra.local.asl_oracle import compare_all
from tests.integration.sagas.conftest import System, note, step


def test_an_independent_interpreter_takes_the_same_way_through_every_scenario(system: System) -> None:
    system.trip()
    system.trip(amount="$9,000")
    system.fault("payments", operation="charge", mode="drop_reply", times=1)
    system.trip(amount="$30")
    system.fault("flights", operation="book", mode="unavailable", times=1)
    system.trip(amount="$31")
    system.run("Sing me a song")
    system.run("a diamond", plan={"steps": [note("s1"), note("s2", "s1"), note("s3", "s1"), note("s4", "s2", "s3")]})
    system.run(
        "one of two fails",
        plan={
            "steps": [note("s1"), step("s2", "search_database", collection="customers", key="nobody"), note("s3", "s1")]
        },
    )
    system.run("a broken plan", plan={"steps": [note("s1", "s1")]})

    opinions = compare_all(system.session.cloud.client("stepfunctions"))

    assert len(opinions) >= 8 + 5
    assert {arn: differences for arn, differences in opinions.items() if differences} == {}
