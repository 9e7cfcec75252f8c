from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import InvalidInput
from apex.planning.dates import MONTHS, WEEKDAYS, resolve_date

NOW = datetime(2027, 6, 4, 15, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2027-06-04"),
        ("Tomorrow", "2027-06-05"),
        ("the day after tomorrow", "2027-06-06"),
        ("day after tomorrow", "2027-06-06"),
        ("on Friday", "2027-06-11"),
        ("Saturday", "2027-06-05"),
        ("next Monday", "2027-06-07"),
        ("in 3 days", "2027-06-07"),
        ("in three days", "2027-06-07"),
        ("in a week", "2027-06-11"),
        ("in 2 weeks", "2027-06-18"),
        ("2028-02-29", "2028-02-29"),
        ("on 2027-07-01", "2027-07-01"),
        ("5 June", "2027-06-05"),
        ("4 June", "2027-06-04"),
        ("3 June", "2028-06-03"),
        ("on the 5th of June", "2027-06-05"),
        ("June 5th 2027", "2027-06-05"),
        ("June 5, 2029", "2029-06-05"),
        ("1 Sept", "2027-09-01"),
        ("Feb. 29", "2028-02-29"),
    ],
)
def test_a_date_has_one_meaning_seen_from_the_moment_of_the_request(text: str, expected: str) -> None:
    assert resolve_date(text, NOW) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "05/06/2027", "5.6.2027", "2027-13-01", "2027-02-29", "2027-6-5", "31 June", "0 June",
        "45 June 2027",
        "29 February 2027", "this Friday", "last Friday", "yesterday", "tonight", "June", "June 2027", "Friday 5 June",
        "not tomorrow", "tomorrow or Friday", "tomorrow and Friday", "every Friday", "tomorrow morning",
        "5 June 0027", "2",
        "in 0.5 days", "in 3", "\u0665 June",
    ],
)  # fmt: skip
def test_what_has_no_or_two_meanings_is_no_date(text: str) -> None:
    assert resolve_date(text, NOW) is None


def test_the_clock_of_the_request_decides_which_day_is_today() -> None:
    late = datetime(2027, 6, 4, 23, 30, tzinfo=UTC)
    in_tokyo = late.astimezone(timezone(timedelta(hours=9)))
    assert resolve_date("today", late) == date(2027, 6, 4)
    assert resolve_date("today", in_tokyo) == date(2027, 6, 5)


def test_a_clock_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        resolve_date("today", datetime(2027, 6, 4))  # noqa: DTZ001 - the mistake under test


def moments(first_year: int, last_year: int) -> st.SearchStrategy[datetime]:
    days = st.dates(date(first_year, 1, 1), date(last_year, 12, 31))
    return st.builds(
        lambda day, hour: datetime(day.year, day.month, day.day, hour, tzinfo=UTC), days, st.integers(0, 23)
    )


@given(
    day=st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    form=st.sampled_from(["{d} {m} {y}", "{m} {d}, {y}", "the {d} of {m} {y}"]),
)
def test_every_day_of_the_calendar_is_read_as_written(day: date, form: str) -> None:
    text = form.format(d=day.day, m=MONTHS[day.month - 1].title(), y=day.year)
    assert resolve_date(text, NOW) == day
    assert resolve_date(day.isoformat(), NOW) == day


@given(
    now=moments(2000, 2100),
    weekday=st.sampled_from(WEEKDAYS),
)
def test_a_weekday_is_its_next_occurrence_after_today(now: datetime, weekday: str) -> None:
    found = resolve_date(f"next {weekday}", now)
    assert found is not None
    assert WEEKDAYS[found.weekday()] == weekday
    assert 1 <= (found - now.date()).days <= 7


@given(now=moments(1890, 2100))
def test_a_day_without_a_year_is_its_next_occurrence_leap_days_too(now: datetime) -> None:
    found = resolve_date("29 February", now)
    assert found is not None
    assert (found.month, found.day) == (2, 29)
    assert found >= now.date()
