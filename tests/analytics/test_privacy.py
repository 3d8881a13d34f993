"""What is sealed of people in the lake: kept as it came, counted by a random id, found by nobody."""

import uuid

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given

from orderflow_analytics.contracts.contract import Contract, judge
from orderflow_cli.privacy.lake import LakeFiles
from orderflow_cli.privacy.search import Wanted
from orderflow_contracts.event import Event
from orderflow_contracts.flow_key import FlowKey
from orderflow_contracts.sealing import encode_sealed
from orderflow_shop.events import CancelReason, Customer, OrderCancelled
from support.analytics.s3 import KEYS, s3_with
from support.analytics.stored import Site, ran, told
from support.flow.personal_classes import SUBJECT_ID, events

FLOW_KEY = FlowKey("shop", "a secret of the tests, of forty letters..")
ANN, BOB = uuid.UUID(int=1), uuid.UUID(int=2)


def cancelled(order: str, name: str, person: uuid.UUID) -> bytes:
    """Seal an event of a person."""
    customer = Customer(id=f"cust-{name}", email=f"{name}@example.org", name=f"Mx {name}")
    event = OrderCancelled(order_id=order, reason=CancelReason.CUSTOMER, customer=customer)
    return encode_sealed(event, FLOW_KEY, FLOW_KEY.unwrap(person, FLOW_KEY.new_key(person)))


async def test_people_are_counted_in_the_curated_zone_and_named_nowhere(site: Site) -> None:
    """Two orders of one person are two of one id; raw keeps what is sealed; not a text of theirs is in any file."""
    plain = told(OrderCancelled.decode(b'{"orderId":"o9","reason":"CUSTOMER","customer":'
                                       b'{"id":"cust-zoe","email":"zoe@example.org","name":"Mx zoe"}}', 1))  # fmt: skip
    made = [("o1", "ann", ANN), ("o2", "ann", ANN), ("o3", "bob", BOB)]
    sealed = [plain._replace(id=uuid.uuid4().hex, key=one[0], data=cancelled(*one)) for one in made]
    await site.put([*sealed, plain])
    await ran(site)
    taken = {row["event_key"]: row["customer"]["id"] for row in site.rows("curated/order_cancelled")}
    assert taken == {"o1": str(ANN), "o2": str(ANN), "o3": str(BOB), "o9": "cust-zoe"}
    assert {row["event_key"]: row["data"] for row in site.rows("raw")}["o1"] == sealed[0].data
    assert site.rows("quarantine") == []

    ann = FLOW_KEY.unwrap(ANN, FLOW_KEY.new_key(ANN))
    of_ann = Wanted("cust-ann", {"ann@example.org": "/customer/email", "Mx ann": "/customer/name"}, [str(ANN), ANN.hex])
    files = LakeFiles(str(site.lake), {})
    places = {place.name: place for place in files.search(of_ann, ann)}
    assert not any(place.own or place.others for place in places.values())
    assert sum(place.sealed for name, place in places.items() if name.startswith("lake raw")) == 2
    of_zoe = Wanted("cust-zoe", {"zoe@example.org": "/customer/email"}, ["o9"])
    found = [place.name for place in files.search(of_zoe, None) if place.own]
    assert {name.split("/")[0] for name in found} == {"lake raw", "lake curated"}


@given(events())
def test_what_a_class_marks_has_no_column_however_it_is_made(drawn: tuple[Event, list[str]]) -> None:
    """Also of an event that came unsealed: the id of its person is kept, to count by, and no text of theirs."""
    event, texts = drawn
    (judged,), rows = judge(Contract(type(event)), [(event.encode(), 1)])
    assert (judged.reason, rows.num_rows, SUBJECT_ID in str(rows.to_pylist())) == ("", 1, True)
    assert not [text for text in texts if text != SUBJECT_ID and text in str(rows.to_pylist())]


def test_a_lake_on_s3_is_looked_through_as_a_folder_is() -> None:
    """Its tables and what else lies there; a file whose writing was cut off is told."""
    with s3_with("lake") as endpoint:
        env = KEYS | {"AWS_ENDPOINT_URL": endpoint}
        bucket = boto3.resource(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_REGION"],
        ).Bucket("lake")
        assert not LakeFiles("s3://lake/shop", env).are_there()
        rows = pa.BufferOutputStream()
        pq.write_table(pa.table({"event_key": ["o1", "o2"], "data": [b"cust-ann", b"{}"]}), rows)
        bucket.put_object(Key="shop/raw/event_type=A/part-0.parquet", Body=rows.getvalue().to_pybytes())
        bucket.put_object(Key="shop/raw/event_type=A/part-1.parquet", Body=b"PAR1 and no more")
        bucket.put_object(Key="other/raw/event_type=A/part-2.parquet", Body=rows.getvalue().to_pybytes())
        files = LakeFiles("s3://lake/shop", env)
        (place,) = files.search(Wanted("cust-ann", {}, ["o1"]), None)
        assert (place.name, place.read, dict(place.own)) == ("lake raw/event_type=A", 2, {"the person's id": 1})
        assert place.unread == ["raw/event_type=A/part-1.parquet"]
        assert [event for event in files.events() if event[1] == b"cust-ann"] == [("A", b"cust-ann")]
        assert not LakeFiles("s3://nowhere/shop", env).are_there()
