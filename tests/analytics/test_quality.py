"""Of any stream of events, sound or not, each has its place in the lake, and none is silently gone."""

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.curate import curate
from orderflow_analytics.lake.zones import Lake
from orderflow_shop.events import OrderCancelled
from support.analytics.stored import NOON, Site, Stored, cancelled, put_events, ran

PROJECT = Path(__file__).parents[2] / "analytics" / "shop"
LATE = timedelta(days=3)
"""Each is a way in which an event may be odd, and whether it fits its contract all the same."""
FORMS = {
    "sound": True,
    "late": True,
    "newer": True,
    "more": True,
    "missing": False,
    "wrong type": False,
    "torn": False,
    "unknown value": False,
    "older": False,
}


def made(number: int, form: str) -> Stored:
    """Return an event of a form."""
    one = cancelled(f"o{number}", NOON - LATE if form == "late" else NOON)
    match form:
        case "newer":
            return one._replace(version=7)
        case "older":
            return one._replace(version=0)
        case "torn":
            return one._replace(data=one.data[:-5])
    body = json.loads(one.data)
    changed = {
        "more": {"more": {"of": ["what", "nobody", "knows"]}},
        "wrong type": {"attempt": "1"},
        "unknown value": {"reason": "WEATHER"},
    }
    body |= changed.get(form, {})
    if form == "missing":
        del body["customer"]
    return one._replace(data=json.dumps(body).encode())


@settings(max_examples=10)
@given(
    st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=20),
    st.lists(st.integers(0, 19), max_size=5),
    st.integers(1, 4),
)
@example(sorted(FORMS), [0, 3, 8], 2)
def test_each_event_of_any_stream_is_in_one_place(forms: Sequence[str], repeats: Sequence[int], at_once: int) -> None:
    """What fits is curated on its own day, what does not is in quarantine with a reason, a repeat adds nothing."""
    events = [made(number, form) for number, form in enumerate(forms)]
    stream = [*events, *(events[number % len(events)] for number in repeats)]
    with tempfile.TemporaryDirectory() as folder:
        lake, contract = Lake(folder, "shop"), Contract(OrderCancelled)
        counts: Counter[str] = Counter()
        for number, start in enumerate(range(0, len(stream), at_once), start=1):
            put_events(lake, number, stream[start : start + at_once])
            if number % 2:
                counts.update(vars(curate(lake, contract)))
        counts.update(vars(curate(lake, contract)))
        taken = lake.curated(contract).rows(pc.scalar(True), ["event_id", "event_date"]).to_table().to_pylist()
        refused = lake.quarantine().rows(pc.scalar(True), ["event_id", "reason", "data"]).to_table().to_pylist()
    fits = [one for one, form in zip(events, forms, strict=True) if FORMS[form]]
    unfit = [one for one, form in zip(events, forms, strict=True) if not FORMS[form]]
    assert sorted((row["event_id"], row["event_date"]) for row in taken) == sorted(
        (one.id, one.time.date()) for one in fits
    )
    assert sorted((row["event_id"], row["data"]) for row in refused) == sorted((one.id, one.data) for one in unfit)
    assert all(row["reason"].startswith("ORDER_CANCELLED") for row in refused)
    assert counts == Counter(taken=len(fits), refused=len(unfit), repeated=len(repeats))


async def test_late_and_refused_events_are_counted_in_a_mart(database: str, tmp_path: Path) -> None:
    """Of 400 events 5 % come twice, 1 % three days late, 4 % do not fit: the mart has each number, by day."""
    site, now = Site(database, tmp_path, {"models": str(PROJECT)}), datetime.now(UTC)
    await site.prepare()
    forms = itertools.cycle(["missing", "wrong type", "unknown value", "older"])
    events = [made(number, next(forms) if number % 25 == 7 else "sound")._replace(time=now) for number in range(400)]
    events[:] = [one._replace(time=now - LATE) if number % 100 == 3 else one for number, one in enumerate(events)]
    await site.put(events[:200], [*events[200:], *events[:20]])
    await ran(site)
    rows = [row for row in site.rows("serving/event_quality") if row["event_type"] == "ORDER_CANCELLED"]
    told = {row["day"]: (row["events"], row["late"], row["refused"]) for row in rows}
    assert told == {now.date(): (396, 0, 16), (now - LATE).date(): (4, 4, 0)}
    assert len(site.rows("raw")) == 420
