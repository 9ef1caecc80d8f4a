"""Time intervals: the tables of Alertmanager's own tests, and errors at their exact place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.errors import ConfigError
from notifications.core.intervals import Interval, parse_interval, parse_intervals

BUSINESS = [{"start_time": "09:00", "end_time": "17:00"}]
WORKDAYS = {"weekdays": ["monday:friday"], "times": BUSINESS}
QUARTER_END = {
    "weekdays": ["monday:friday", "sunday"],
    "months": ["january:march"],
    "days_of_month": ["-7:-1"],
    "years": ["2020:2025", "2030:2035"],
    "times": BUSINESS,
}
MIXED = {
    "weekdays": ["monday:wednesday", "saturday", "sunday"],
    "times": [{"start_time": "13:00", "end_time": "15:00"}],
    "days_of_month": ["1", "10", "20:-1"],
    "years": ["2020:2023"],
    "months": ["january:march"],
}
EASTER = {"days_of_month": ["4:6"], "months": ["april"], "years": ["2020"]}
SYDNEY = {**WORKDAYS, "location": "Australia/Sydney"}

CONTAINED = [
    (WORKDAYS, "04 May 20 15:04 +0000", True),
    (WORKDAYS, "05 May 20 10:04 +0000", True),
    (WORKDAYS, "09 Jun 20 09:04 +0000", True),
    (WORKDAYS, "03 May 20 15:04 +0000", False),
    (WORKDAYS, "04 May 20 08:59 +0000", False),
    (WORKDAYS, "05 May 20 05:00 +0000", False),
    (WORKDAYS, "08 Jul 20 09:00 +0000", True),
    (WORKDAYS, "08 Jul 20 16:59 +0000", True),
    (WORKDAYS, "08 Jul 20 17:00 +0000", False),
    (WORKDAYS, "01 Apr 21 13:00 +0000", True),
    (EASTER, "04 Apr 20 15:04 +0000", True),
    (EASTER, "05 Apr 20 00:00 +0000", True),
    (EASTER, "06 Apr 20 23:05 +0000", True),
    (EASTER, "03 May 18 15:04 +0000", False),
    (EASTER, "03 Apr 20 23:59 +0000", False),
    (EASTER, "04 Jun 20 23:59 +0000", False),
    (EASTER, "06 Apr 19 23:59 +0000", False),
    (EASTER, "07 Apr 20 00:00 +0000", False),
    ({"days_of_month": ["-3:-1"]}, "31 Jan 20 15:04 +0000", True),
    ({"days_of_month": ["-3:-1"]}, "30 Jan 20 15:04 +0000", True),
    ({"days_of_month": ["-3:-1"]}, "29 Jan 20 15:04 +0000", True),
    ({"days_of_month": ["-3:-1"]}, "30 Jun 20 00:00 +0000", True),
    ({"days_of_month": ["-3:-1"]}, "29 Feb 20 23:05 +0000", True),
    ({"days_of_month": ["-3:-1"]}, "03 May 18 15:04 +0000", False),
    ({"days_of_month": ["-3:-1"]}, "28 Jan 20 15:04 +0000", False),
    ({"days_of_month": ["-3:-1"]}, "27 Jan 20 15:04 +0000", False),
    ({"days_of_month": ["-3:-1"]}, "01 Mar 20 00:00 +0000", False),
    ({"months": ["june"], "days_of_month": ["1:31"]}, "30 Jun 20 00:00 +0000", True),
    ({"months": ["june"], "days_of_month": ["-31:-1"]}, "30 Jun 20 00:00 +0000", True),
    ({"months": ["june"], "days_of_month": ["-31:-1"]}, "01 Jun 20 00:00 +0000", True),
    ({"months": ["june"], "days_of_month": ["-31:-1"]}, "31 May 20 00:00 +0000", False),
    ({"months": ["june"], "days_of_month": ["-31:-1"]}, "01 Jul 20 00:00 +0000", False),
    (SYDNEY, "06 Apr 21 13:00 +1000", True),
    (SYDNEY, "06 Apr 21 13:00 +0000", False),
    ({**SYDNEY, "months": ["11"]}, "01 Nov 21 09:00 +1100", True),
    ({**SYDNEY, "months": ["11"]}, "31 Oct 21 22:00 +0000", True),
    ({**SYDNEY, "months": ["11"]}, "31 Oct 21 21:00 +0000", False),
    (QUARTER_END, "27 Jan 21 09:00 +0000", True),
    (QUARTER_END, "28 Jan 21 16:59 +0000", True),
    (QUARTER_END, "29 Jan 21 13:00 +0000", True),
    (QUARTER_END, "31 Mar 25 13:00 +0000", True),
    (QUARTER_END, "31 Jan 35 13:00 +0000", True),
    (QUARTER_END, "30 Jan 21 13:00 +0000", False),
    (QUARTER_END, "01 Apr 21 13:00 +0000", False),
    (QUARTER_END, "30 Jan 26 13:00 +0000", False),
    (QUARTER_END, "31 Jan 35 17:01 +0000", False),
    (MIXED, "10 Jan 21 13:00 +0000", True),
    (MIXED, "30 Jan 21 14:24 +0000", True),
    (MIXED, "09 Jan 21 13:00 +0000", False),
    (MIXED, "20 Jan 21 12:59 +0000", False),
    (MIXED, "02 Feb 21 13:00 +0000", False),
    ({"days_of_month": ["30:31"], "months": ["february"]}, "28 Feb 21 13:00 +0000", False),
    ({"days_of_month": ["28:31"], "months": ["february"]}, "28 Feb 21 13:00 +0000", True),
    ({"days_of_month": ["1:-1"]}, "15 Feb 21 13:00 +0000", True),
    ({"days_of_month": ["28:-1"]}, "28 Feb 21 13:00 +0000", True),
    ({"days_of_month": ["5:-25"]}, "07 Jan 21 13:00 +0000", True),
    ({"days_of_month": ["5:-25"]}, "05 Feb 21 13:00 +0000", False),
    ({"times": [{"start_time": "00:00", "end_time": "24:00"}]}, "15 Feb 21 23:59 +0000", True),
]

READ = [
    (WORKDAYS, Interval(times=((540, 1020),), weekdays=((1, 5),))),
    ({"times": [{"start_time": "00:00", "end_time": "24:00"}]}, Interval(times=((0, 1440),))),
    ({"times": [{"start_time": "01:35", "end_time": "17:39"}]}, Interval(times=((95, 1059),))),
    ({"times": [{"start_time": "09:35", "end_time": "09:39"}]}, Interval(times=((575, 579),))),
    ({"days_of_month": ["1:-1"]}, Interval(days_of_month=((1, -1),))),
    ({"days_of_month": [5, "-2"]}, Interval(days_of_month=((5, 5), (-2, -2)))),
    ({"months": ["January:december"]}, Interval(months=((1, 12),))),
    ({"months": ["1:march", 5]}, Interval(months=((1, 3), (5, 5)))),
    ({"weekdays": ["Sunday : TUESDAY"]}, Interval(weekdays=((0, 2),))),
    (
        {"years": ["2020:2022", 2030], "location": "Australia/Sydney"},
        Interval(years=((2020, 2022), (2030, 2030)), zone=ZoneInfo("Australia/Sydney")),
    ),
]


def times(start: object, end: object) -> dict[str, Any]:
    return {"times": [{"start_time": start, "end_time": end}]}


REFUSED = [
    (times("01:99", "23:59"), "spec.times[0].start_time", "'01:99'"),
    (times("00:00", "99:99"), "spec.times[0].end_time", "'99:99'"),
    (times("17:31", "17:31"), "spec.times[0].end_time", "must be after start_time"),
    (times("12:30", "24:01"), "spec.times[0].end_time", "'24:01'"),
    (times("09:30", "07:41"), "spec.times[0].end_time", "past midnight"),
    (times("24:00", "17:41"), "spec.times[0].end_time", "must be after start_time"),
    (times("9:00", "17:00"), "spec.times[0].start_time", "'9:00'"),
    (times(9, "17:00"), "spec.times[0].start_time", "not 9"),
    (times("09:00\n", "17:00"), "spec.times[0].start_time", "must be a time of day"),
    ({"times": [{"start_time": "14:03"}]}, "spec.times[0]", "must be an object"),
    ({"times": [*BUSINESS, "09:00"]}, "spec.times[1]", "must be an object"),
    ({"times": {"start_time": "14:03"}}, "spec.times", "must be a list"),
    ({"weekdays": ["friday:monday"]}, "spec.weekdays[0]", "weeks begin on sunday"),
    ({"weekdays": ["monday", "blurgsday:flurgsday"]}, "spec.weekdays[1]", "'blurgsday' is no weekday"),
    ({"weekdays": ["1:3"]}, "spec.weekdays[0]", "'1' is no weekday"),
    ({"weekdays": ["-2:-1"]}, "spec.weekdays[0]", "'-2' is no weekday"),
    ({"weekdays": ["monday:"]}, "spec.weekdays[0]", "neither one value nor a range"),
    ({"weekdays": ["monday:tuesday:friday"]}, "spec.weekdays[0]", "neither one value nor a range"),
    ({"weekdays": []}, "spec.weekdays", "at least one entry"),
    ({"weekdays": "monday"}, "spec.weekdays", "must be a list"),
    ({"weekdays": None}, "spec.weekdays", "must be a list"),
    ({"weekdays": ["monday"] * 101}, "spec.weekdays", "more than 100"),
    ({"days_of_month": ["0"]}, "spec.days_of_month[0]", "'0' is no day"),
    ({"days_of_month": ["-50:-20"]}, "spec.days_of_month[0]", "'-50' is no day"),
    ({"days_of_month": ["1:50"]}, "spec.days_of_month[0]", "'50' is no day"),
    ({"days_of_month": ["-15:5"]}, "spec.days_of_month[0]", "5 must be negative"),
    ({"days_of_month": ["10:-25"]}, "spec.days_of_month[0]", "day -25 is always before day 10"),
    ({"days_of_month": ["8:-25"]}, "spec.days_of_month[0]", "day -25 is always before day 8"),
    ({"days_of_month": ["-2:-3"]}, "spec.days_of_month[0]", "always before"),
    ({"days_of_month": ["5:2"]}, "spec.days_of_month[0]", "always before"),
    ({"days_of_month": [True]}, "spec.days_of_month[0]", "must be text"),
    ({"days_of_month": [1.5]}, "spec.days_of_month[0]", "must be text"),
    ({"months": ["martius:june"]}, "spec.months[0]", "'martius' is no month"),
    ({"months": ["march:junius"]}, "spec.months[0]", "'junius' is no month"),
    ({"months": ["december:january"]}, "spec.months[0]", "past the end of the year"),
    ({"months": [13]}, "spec.months[0]", "'13' is no month"),
    ({"years": ["2022:2020"]}, "spec.years[0]", "earlier year first"),
    ({"years": ["soon"]}, "spec.years[0]", "'soon' is no year"),
    ({"years": ["٢٠٢٠"]}, "spec.years[0]", "is no year"),
    ({**WORKDAYS, "location": "Mars/Olympus"}, "spec.location", "'Mars/Olympus' is none"),
    ({**WORKDAYS, "location": "../../etc/passwd"}, "spec.location", "is none"),
    ({**WORKDAYS, "location": "Europe"}, "spec.location", "is none"),
    ({**WORKDAYS, "location": ""}, "spec.location", "must be the name of a time zone"),
    ({**WORKDAYS, "location": 8}, "spec.location", "must be the name of a time zone"),
    ({"weekday": ["monday"]}, "spec.weekday", "is unknown; an interval has times, weekdays"),
    ({"location": "UTC"}, "spec", "names no time"),
    ({}, "spec", "names no time"),
    (["monday"], "spec", "must be an object"),
    (None, "spec", "must be an object"),
]


@pytest.mark.parametrize(("spec", "at", "expected"), CONTAINED)
def test_contains(spec: dict[str, Any], at: str, expected: bool) -> None:
    """Protects the times at which people are, or are not, to be told."""
    instant = datetime.strptime(at, "%d %b %y %H:%M %z")
    assert parse_interval(spec, "spec").contains(instant) is expected


@pytest.mark.parametrize("at", ["02 Jan 06 15:04 +0000", "03 Jan 07 10:04 +0000", "04 Jan 06 09:04 +0000"])
def test_nothing_named_is_always(at: str) -> None:
    """Protects that what an interval does not name always holds."""
    assert Interval().contains(datetime.strptime(at, "%d %b %y %H:%M %z"))


@pytest.mark.parametrize(("spec", "expected"), READ)
def test_read(spec: dict[str, Any], expected: Interval) -> None:
    """Protects intervals brought from Alertmanager's configuration."""
    assert parse_interval(spec, "spec") == expected


@pytest.mark.parametrize(("spec", "field", "message"), REFUSED)
def test_refused(spec: Any, field: str, message: str) -> None:
    """Protects people from looking for the mistake: the error names the place."""
    with pytest.raises(ConfigError) as caught:
        parse_interval(spec, "spec")
    assert caught.value.field == field
    assert message in caught.value.reason


def test_several() -> None:
    """Protects intervals of several parts, and their places in errors."""
    assert parse_intervals([WORKDAYS, EASTER], "spec") == (
        parse_interval(WORKDAYS, "spec"),
        parse_interval(EASTER, "spec"),
    )
    assert parse_intervals(WORKDAYS, "spec") == (parse_interval(WORKDAYS, "spec"),)
    with pytest.raises(ConfigError) as caught:
        parse_intervals([WORKDAYS, {"weekdays": ["someday"]}], "spec")
    assert caught.value.field == "spec[1].weekdays[0]"
    with pytest.raises(ConfigError):
        parse_intervals([], "spec")


def test_wall_clock_across_a_clock_change() -> None:
    """Protects nights in a time zone whose clock is put forward."""
    night = parse_interval({**times("00:00", "08:00"), "location": "Europe/Berlin"}, "spec")
    assert night.contains(datetime(2026, 3, 28, 6, 59, tzinfo=UTC))
    assert not night.contains(datetime(2026, 3, 28, 7, 0, tzinfo=UTC))
    assert night.contains(datetime(2026, 3, 29, 5, 59, tzinfo=UTC))
    assert not night.contains(datetime(2026, 3, 29, 6, 0, tzinfo=UTC))


@settings(deadline=None)
@given(st.integers(-31, 31).filter(bool), st.integers(-31, 31).filter(bool), st.dates())
def test_days_stay_within_their_month(begin: int, end: int, day: Any) -> None:
    """Protects days counted from either end: what is accepted holds exactly on the days between both."""
    try:
        interval = parse_interval({"days_of_month": [f"{begin}:{end}"]}, "spec")
    except ConfigError:
        return
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    next_month = datetime(day.year + day.month // 12 if day.year < 9999 else 1, day.month % 12 + 1, 1)
    length = 31 if day.month == 12 else (next_month - datetime(day.year, day.month, 1)).days
    days = range(1, length + 1)
    first, last = (each if each > 0 else length + 1 + each for each in (begin, end))
    assert interval.contains(at) is (day.day in days[max(first, 1) - 1 : last])
