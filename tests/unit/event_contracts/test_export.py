"""What `orderflow contracts export` writes: the same each time, right by the standards, and right about the events."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from open_data_contract_standard.model import OpenDataContractStandard

from orderflow_cli.main import main
from orderflow_shop.events import Address, Customer, Line, OrderCreated, OrderEvent, PaymentMethod

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "manifests" / "flows" / "shop.yaml"
COMMITTED = ROOT / "docs" / "contracts" / "shop"
MODULE = ("--module", "orderflow_shop.events")
ORDER = OrderCreated(
    order_id="o1",
    customer=Customer(id="c1", email="ann@example.org", name="Ann"),
    lines=(Line(sku="apple", quantity=2, unit_price=300),),
    currency="EUR",
    payment=PaymentMethod(token="tok"),  # noqa: S106 - it pays nothing
    ship_to=Address(name="Ann", street="Main St 1", city="Ghent", postcode="9000", country="BE"),
    allow_partial=False,
)


def export(flow: Path, folder: Path, *more: str) -> Result:
    """Run the command as a person does."""
    return CliRunner().invoke(main, ["contracts", "export", str(flow), "--to", str(folder), *more])


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder by its path in it."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """The reference flow in a file that a test may edit."""
    (file := tmp_path / "flow.yaml").write_text(SHOP.read_text())
    return file


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The committed JSON Schema of each event."""
    found = [json.loads(path.read_text()) for path in (COMMITTED / "schemas").glob("*.json")]
    return {schema["x-event"]: schema for schema in found}


def edited(flow: Path, old: str, new: str) -> None:
    """Replace what stands in the flow."""
    text = flow.read_text()
    assert old in text
    flow.write_text(text.replace(old, new, 1))


def test_the_committed_export_is_todays(tmp_path: Path) -> None:
    """docs/contracts/shop is what the command writes; run it again when this fails."""
    result = export(SHOP, tmp_path / "made", *MODULE)
    assert (result.exit_code, result.output.endswith("26 documents of 12 events\n")) == (0, True)
    assert contents(tmp_path / "made") == contents(COMMITTED)


def test_a_schema_takes_what_services_write(schemas: dict[str, Any]) -> None:
    """An event as its class encodes it fits, and the schema is one of the draft that it names."""
    assert schemas.keys() == {kind.TYPE for kind in OrderEvent.__subclasses__()}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    Draft202012Validator(schemas["ORDER_CREATED"]).validate(json.loads(ORDER.encode()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("orderId", ""), ("orderId", None), ("lines", []), ("currency", "euro"), ("allowPartial", "no"), ("shipTo", {})],
)
def test_a_schema_refuses_what_services_refuse(schemas: dict[str, Any], field: str, value: Any) -> None:
    """A broken event fits neither the class nor the schema."""
    broken = json.loads(ORDER.encode()) | {field: value}
    assert not Draft202012Validator(schemas["ORDER_CREATED"]).is_valid(broken)
    with pytest.raises(ValueError, match=field):
        OrderCreated.decode(json.dumps(broken).encode(), 2)


def test_a_schema_says_which_versions_are_read(schemas: dict[str, Any]) -> None:
    """ORDER_CREATED is at its second version, and its upcaster lifts the first."""
    assert (schemas["ORDER_CREATED"]["x-version"], schemas["ORDER_CREATED"]["x-reads"]) == (2, [1, 2])


def test_personal_fields_are_marked_by_class_and_by_resource(tmp_path: Path, flow: Path) -> None:
    """A pointer of the resource marks its own field, and not the same part where another field uses it."""
    edited(flow, "personalData: [/customer/email, /shipTo]", "personalData: [/customer/id, /lines/*/sku]")
    export(flow, tmp_path / "made", *MODULE)
    page = yaml.safe_load((tmp_path / "made/odcs/ORDER_CREATED.odcs.yaml").read_text())

    def personal(fields: list[Any], above: str = "") -> Iterator[str]:
        for field in fields:
            place = f"{above}/{field.get('name', '*')}"
            yield from [place] if field.get("classification") == "personal" else []
            yield from personal(field.get("properties", [field["items"]] if "items" in field else []), place)

    found = set(personal(page["schema"][0]["properties"]))
    assert {"/customer/id", "/customer/email", "/customer/name", "/lines/*/sku", "/shipTo/street"} <= found
    assert found.isdisjoint({"/shipTo", "/shipTo/country", "/lines", "/lines/*/quantity"})
    cancelled = json.loads((tmp_path / "made/schemas/ORDER_CANCELLED.v1.json").read_text())
    assert "x-personal-data" not in cancelled["$defs"]["Customer"]["properties"]["id"]


def test_each_data_contract_is_one_by_the_standard() -> None:
    """The standard's model and its JSON Schema take every one, and refuse one of a wrong kind."""
    standard = json.loads(OpenDataContractStandard.json_schema())
    validator = validator_for(standard)(standard)
    for path in (COMMITTED / "odcs").iterdir():
        text = path.read_text(encoding="utf-8")
        assert OpenDataContractStandard.from_string(text).schema_
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []
        assert not validator.is_valid(yaml.safe_load(text) | {"kind": "Flow"})


def test_asyncapi_has_each_service_by_what_it_sends_and_receives() -> None:
    """Operations are the matrix of the resource, on topics by their real names."""
    document = yaml.safe_load((COMMITTED / "asyncapi.yaml").read_text(encoding="utf-8"))
    picture = yaml.safe_load(SHOP.read_text())["spec"]["services"]
    verbs = (("publishes", "send"), ("subscribes", "receive"))
    wanted = {f"{one['name']}.{verb}.{event}" for one in picture for key, verb in verbs for event in one.get(key, ())}
    assert document["operations"].keys() == wanted
    assert document["channels"]["ORDER_CREATED"]["address"] == "shop.order-created"


class Page(HTMLParser):
    """What a browser would do with a page: tags, text, and addresses it would ask."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and what it leads to."""
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


INLINE = """topic: {partitions: 12}
      schema:
        type: object
        description: '<script>alert("a")</script>'
        properties: {'<b>/~': {type: string, description: '</td><img src=//a.example>'}}
"""


def test_the_page_escapes_what_others_wrote_and_asks_nobody(tmp_path: Path, flow: Path) -> None:
    """Words and names of a schema are text on the page, and no address leads outside."""
    edited(flow, "topic: {partitions: 12}\n      personalData: [/customer/email, /shipTo]\n", INLINE)
    assert export(flow, tmp_path / "made").exit_code == 0
    page = Page()
    page.feed((tmp_path / "made/catalogue.html").read_text(encoding="utf-8"))
    assert page.tags.isdisjoint({"script", "img", "b", "link", "iframe"})
    assert '<script>alert("a")</script>' in page.text
    assert "</td><img src=//a.example>" in page.text
    assert "/<b>~1~0" in page.text
    assert all(address.startswith("#") for address in page.addresses)


def test_the_page_has_owner_consumers_retention_and_personal_fields() -> None:
    """One section an event, with what the resource says of it."""
    page = Page()
    page.feed((COMMITTED / "catalogue.html").read_text(encoding="utf-8"))
    section = page.text.partition("\nORDER_CREATED\nAn order was placed")[2].partition("ORDER_COMPLETED")[0]
    for told in ("shop.order-created", "order", "inventory, notification", "7 days", "/customer/email, /customer/name"):
        assert told in section


ODD = """topic: {partitions: 12}
      schema:
        type: object
        definitions: {Part: {type: object, properties: {next: {$ref: '#/definitions/Part'}, own: true}}}
        properties:
          anything: true
          list: {type: array, items: true}
          part: {anyOf: [{$ref: '#/definitions/Part'}, {type: 'null'}]}
          same: {$ref: '#/properties/part'}
          either: {anyOf: [true, {type: string, x-personal-data: true}]}
          kind:
            discriminator: {propertyName: a, mapping: {}}
            oneOf: [{type: object, properties: {a: {const: 1}}}, {type: object, properties: {a: {const: 2}}}]
      personalData: [/part/own]
"""


def references(node: Any) -> Iterator[str]:
    """Yield every reference of a document."""
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(below)


def test_schemas_of_any_form_become_documents(tmp_path: Path, flow: Path) -> None:
    """What an author writes inline may use all of JSON Schema; references are found in the AsyncAPI document too."""
    edited(flow, "topic: {partitions: 12}\n      personalData: [/customer/email, /shipTo]\n", ODD)
    assert export(flow, tmp_path / "made").exit_code == 0
    document = yaml.safe_load((tmp_path / "made/asyncapi.yaml").read_text(encoding="utf-8"))
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    schema = document["components"]["schemas"]["ORDER_CREATED"]
    assert schema["properties"]["kind"]["discriminator"] == "a"
    page = (tmp_path / "made/catalogue.html").read_text(encoding="utf-8")
    assert "<dd>/part/own, /same/own, /either</dd>" in page
    result = CliRunner().invoke(main, ["contracts", "check", str(flow), "--against", str(tmp_path / "made")])
    assert (result.exit_code, "nothing breaks" in result.output) == (0, True)


def test_a_schema_of_before_stays_and_what_is_gone_goes(tmp_path: Path, flow: Path) -> None:
    """An older version of an event that there is stays; an event that is not leaves no document; others' files stay."""
    export(flow, folder := tmp_path / "made", *MODULE)
    text = (folder / "schemas/ORDER_CREATED.v2.json").read_text()
    (folder / "schemas/ORDER_CREATED.v1.json").write_text(text)
    for kind, ours in (("schemas", "GONE.v1.json"), ("odcs", "GONE.odcs.yaml")):
        (folder / kind / ours).write_text(text)
        (folder / kind / ours.replace("GONE", "OWN")).write_text("{}")
    export(flow, folder, *MODULE)
    assert (folder / "schemas/ORDER_CREATED.v1.json").exists()
    assert [path.name for path in folder.rglob("GONE*")] == []
    assert len([*folder.rglob("OWN*")]) == 2


def test_an_event_without_a_class_is_described_as_far_as_it_is_known(tmp_path: Path, flow: Path) -> None:
    """Without a module the documents have topics and services, and standard error says what is not known."""
    result = export(flow, tmp_path / "made")
    assert result.exit_code == 0
    assert "no schema is known of ORDER_CREATED" in result.stderr
    assert not (tmp_path / "made/schemas").exists()


@pytest.mark.parametrize(
    ("old", "new", "more", "told"),
    [
        ("", "", ("--module", "no.such_module"), "module no.such_module cannot be imported"),
        ("", "", ("--module", "json"), "module json has no Event class"),
        ("/customer/email", "/customer/mail", MODULE, "personalData /customer/mail of ORDER_CREATED is not in its"),
        ("personalData: [/customer/email, /shipTo]", "schema: {type: obj}", (), "schema of ORDER_CREATED is no JSON S"),
        (
            "personalData: [/customer/email, /shipTo]",
            "schema: {$ref: '#/$defs/Gone'}",
            (),
            '$ref "#/$defs/Gone" is not in the schema',
        ),
        ("kind: OrderFlow", "kind: Flow", MODULE, "See orderflow lint"),
    ],
)
def test_a_mistake_ends_in_one_line(
    tmp_path: Path, flow: Path, old: str, new: str, more: tuple[str, ...], told: str
) -> None:
    """Whatever is wrong is named, the exit code is 1, and nothing is written."""
    edited(flow, old, new)
    result = export(flow, tmp_path / "made", *more)
    assert (result.exit_code, told in result.stderr) == (1, True), result.output
    assert not (tmp_path / "made").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be ends in one line."""
    (tmp_path / "made").write_text("")
    result = export(SHOP, tmp_path / "made", *MODULE)
    assert (result.exit_code, "the export cannot be written" in result.stderr) == (1, True)
