import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.cache.plans import PlanCache, Risk
from apex.cache.templates import Plan

FLIGHT = "book a flight from Lisbon to Austin tomorrow"


def flight(origin: str, destination: str, day: str) -> Plan:
    return Plan("flight.book", (("origin", origin), ("destination", destination), ("day", day)))


@pytest.fixture
def cache() -> PlanCache:
    cache = PlanCache()
    cache.admit(FLIGHT, flight("Lisbon", "Austin", "tomorrow"))
    cache.admit("book a flight from Rome to Chicago on friday", flight("Rome", "Chicago", "friday"))
    cache.admit("book a flight from Oslo to Berlin today", flight("Oslo", "Berlin", "today"))
    cache.admit("cancel my hotel in Berlin", Plan("hotel.cancel", (("city", "Berlin"),)))
    cache.admit("transfer $50 to Bob", Plan("transfer", (("amount", "$50"), ("person", "Bob"))))
    return cache


def test_the_same_goal_is_served_again_whatever_its_case_and_quotes(cache: PlanCache) -> None:
    answer = cache.look_up("Book a flight from lisbon to austin, tomorrow.")
    assert (answer.tier, answer.plan) == (0, flight("Lisbon", "Austin", "tomorrow"))


def test_two_slots_of_one_kind_keep_their_roles(cache: PlanCache) -> None:
    cities = ("Madrid", "Denver", "Seattle", "Tokyo", "Boston")
    for origin in cities:
        for destination in set(cities) - {origin}:
            served = cache.look_up(f"please book a flight from {origin} to {destination} on monday").plan
            assert served in (None, flight(origin, destination, "monday"))
    for goal in ("book a flight from Austin to Lisbon tomorrow", "book a flight to Lisbon from Austin tomorrow"):
        assert cache.look_up(goal).plan in (None, flight("Austin", "Lisbon", "tomorrow"))


@pytest.mark.parametrize(
    "goal",
    [
        f"don't {FLIGHT}",
        f"never {FLIGHT}",
        f"{FLIGHT} - actually no, don't",
        "cancel a flight from Lisbon to Austin tomorrow",
        "can I book a flight from Lisbon to Austin tomorrow",
        "did you book a flight from Lisbon to Austin tomorrow",
        f"{FLIGHT} in business class",
        f"{FLIGHT} unless it rains",
        "book a flight from Lisbon to Austin and Dallas tomorrow",
        "book a flight from Lisbon to anywhere except Austin tomorrow",
        "book a flight from Lisbon to Austin every tomorrow",
        "book a flight from Lisbon to Austin",
        "transfer $50 to Bob and Alice",
        "transfer $50 to Bob?",
        "transfer $50",
    ],
)
def test_another_wish_is_never_served(cache: PlanCache, goal: str) -> None:
    for risk in Risk:
        assert cache.look_up(goal, risk).plan is None


def test_a_goal_planned_in_two_ways_is_not_served_by_itself() -> None:
    cache = PlanCache()
    cache.admit("do the usual", Plan("coffee.make", ()))
    cache.admit("do the usual", Plan("report.send", ()))
    assert cache.look_up("do the usual").plan is None


def test_a_value_that_the_goal_does_not_hold_makes_no_template() -> None:
    cache = PlanCache()
    cache.admit("call my brother", Plan("call", (("number", "+49 30 1234"),)))
    assert len(cache) == 0
    assert cache.look_up("call my brother").tier == 0


def test_a_template_that_an_audit_disabled_serves_nothing_again(cache: PlanCache) -> None:
    number = cache.admit("restart the auth service", Plan("restart", (("service", "auth"),)))
    assert cache.look_up("restart the auth service").plan is not None
    cache.disable(number)
    assert cache.look_up("restart the auth service").plan is None
    assert cache.look_up("restart the billing service").plan is None


@pytest.mark.parametrize("goal", ["", " \t\n", "\x00\x01", "?!", "a" * 10_000, "\ud800", "the " * 119, "to " * 500])
def test_odd_goals_are_answered(cache: PlanCache, goal: str) -> None:
    assert cache.look_up(goal).plan is None


def test_a_goal_that_can_be_read_in_very_many_ways_is_a_miss() -> None:
    cache = PlanCache()
    for number in range(6):
        names = tuple((f"arg{index}", f"x{index}") for index in range(number + 1))
        cache.admit("do " + " ".join(value for _, value in names), Plan(f"tool{number}", names))
    assert cache.look_up("do " + "x0 " * 100).plan is None


@given(st.text(max_size=60))
def test_whatever_is_asked_only_admitted_intents_are_answered(text: str) -> None:
    cache = PlanCache()
    cache.admit("send the report to Bob", Plan("email.send", (("person", "Bob"),)))
    answer = cache.look_up(text)
    assert answer.plan is None or answer.plan.intent == "email.send"


@given(
    st.lists(st.sampled_from(["Bob", "the", "report", "send", "to", "not", "and", "Alice", "$5", "friday"]), max_size=9)
)
def test_every_argument_that_is_served_stands_in_the_goal(words: list[str]) -> None:
    cache = PlanCache()
    cache.admit("send the report to Bob", Plan("email.send", (("person", "Bob"),)))
    cache.admit("send $5 to Alice friday", Plan("pay", (("amount", "$5"), ("person", "Alice"), ("day", "friday"))))
    goal = " ".join(words)
    plan = cache.look_up(goal).plan
    assert plan is None or all(value in goal for _, value in plan.arguments)
    assert plan is None or not {"not", "and"} & set(words)


def test_an_answer_is_the_same_in_every_cache_with_the_same_history(cache: PlanCache) -> None:
    again = PlanCache()
    for goal, plan in (
        (FLIGHT, flight("Lisbon", "Austin", "tomorrow")),
        ("book a flight from Rome to Chicago on friday", flight("Rome", "Chicago", "friday")),
        ("book a flight from Oslo to Berlin today", flight("Oslo", "Berlin", "today")),
        ("cancel my hotel in Berlin", Plan("hotel.cancel", (("city", "Berlin"),))),
        ("transfer $50 to Bob", Plan("transfer", (("amount", "$50"), ("person", "Bob")))),
    ):
        again.admit(goal, plan)
    for goal in ("transfer $70 to Eve", "please transfer $70 to Eve", "book a flight from Bonn to Rome today"):
        assert cache.look_up(goal) == again.look_up(goal)
