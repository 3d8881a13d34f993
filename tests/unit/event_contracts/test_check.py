"""`orderflow contracts check` refuses what breaks readers, columns or privacy, and names whom and why."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orderflow_cli.main import main

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "manifests" / "flows" / "shop.yaml"
EVENTS = ROOT / "services" / "src" / "orderflow_shop" / "events.py"
COMMITTED = ROOT / "docs" / "contracts" / "shop"
MODELS = ("--models", str(ROOT / "analytics" / "shop"))
Check = Callable[..., Result]
BREAKING = 3


def contracts(*arguments: str | Path) -> Result:
    """Run the command as a person does."""
    return CliRunner().invoke(main, ["contracts", *map(str, arguments)])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Make a module of the shop's events with an edit, and return its name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(old: str, new: str) -> str:
        text = EVENTS.read_text()
        assert old in text
        made.append(f"edited_{tmp_path.name.replace('-', '_')}_{len(made)}")
        (tmp_path / f"{made[-1]}.py").write_text(text.replace(old, new))
        return made[-1]

    return make


@pytest.fixture
def check(module: Callable[[str, str], str]) -> Check:
    """Hold the shop with an edited class against the committed export."""
    return lambda old, new, *more: contracts("check", SHOP, "--against", COMMITTED, "--module", module(old, new), *more)


def refused(result: Result) -> list[str]:
    """The lines of what breaks."""
    assert result.exit_code == BREAKING, result.output
    return result.stdout.splitlines()


def test_what_is_as_it_was_breaks_nothing(check: Check) -> None:
    """The committed export is compatible with today's classes, also in the lake."""
    result = check("", "", *MODELS)
    assert (result.exit_code, "nothing breaks (12 events against" in result.stdout) == (0, True)


def test_an_optional_field_may_be_added(check: Check) -> None:
    """It breaks neither readers nor columns."""
    assert check("    partial: bool\n", "    partial: bool\n    note: str = ''\n", *MODELS).exit_code == 0


def test_a_required_field_breaks_todays_readers(check: Check) -> None:
    """The line has the event, the field, the direction and why."""
    assert refused(check("    partial: bool\n", "    partial: bool\n    note: str\n")) == [
        "STOCK_RESERVED/note: backward: today's readers: has to be there, and may be missing in what is written"
    ]


def test_only_the_direction_that_is_asked_for_counts(check: Check) -> None:
    """Readers of before need not take today's events where that is not asked for."""
    new = ("    partial: bool\n", "    partial: bool\n    note: str\n")
    assert check(*new, "--compatibility", "forward").exit_code == 0
    assert check(*new, "--compatibility", "backward").exit_code == BREAKING


def test_a_renamed_field_is_told_as_one(check: Check) -> None:
    """Both readers lack it, and the line says what it may have become."""
    lines = refused(check("    partial: bool\n", "    in_part: bool\n"))
    assert [line.split(": ")[:2] for line in lines] == [
        ["STOCK_RESERVED/inPart", "backward"],
        ["STOCK_RESERVED/partial", "forward"],
    ]
    assert all("renamed to or from" in line for line in lines)


def test_a_break_names_the_column_and_the_models_that_it_reaches(check: Check) -> None:
    """`allow_partial` stands in a staging model, which `orders` and through it the funnel refer to."""
    lines = refused(check("    allow_partial: bool\n", "    allow_partial: int\n", *MODELS))
    assert [line.split(": ")[1] for line in lines] == ["backward", "forward", "lake"]
    for line in lines:
        _, _, reach = line.partition("; column curated/order_created.allow_partial, models ")
        assert reach.split(", ")[0] == "stg_placed"
        assert {"orders", "saga_funnel"} <= set(reach.split(", "))
        assert "stg_stock_moves" not in reach


@pytest.mark.parametrize("name", ["line2", "line_2", "x1y", "sha256_sum"])
def test_a_model_is_found_by_a_column_with_a_number_in_its_name(
    module: Callable[[str, str], str], tmp_path: Path, name: str
) -> None:
    """Also where JSON does not tell `line_2` from `line2`, and where the SQL is in capitals."""
    published, models = tmp_path / "published", tmp_path / "dbt" / "models"
    models.mkdir(parents=True)
    sql = "select NAME from {{ source('lake', 'stock_reserved') }}"
    (models / "stg_lines.sql").write_text(sql.replace("NAME", name.upper()))
    old = "    partial: bool\n"
    before, after = (module(old, f"{old}    {name}: {kind}\n") for kind in ("int", "str"))
    assert contracts("export", SHOP, "--module", before, "--to", published).exit_code == 0
    lines = refused(contracts("check", SHOP, "--against", published, "--module", after, "--models", models.parent))
    assert all(line.endswith("models stg_lines") for line in lines), lines


def test_a_column_whose_type_changes_is_refused_where_there_is_a_lake(check: Check) -> None:
    """Readers take a whole number for a number; a column of one type does not become another."""
    widened = ("    attempt: Annotated[int, Field(ge=1, le=1000)] = 1", "    attempt: float = 1.0")
    assert check(*widened, "--compatibility", "backward").exit_code == 0
    lines = refused(check(*widened, "--compatibility", "backward", *MODELS))
    assert [line.partition("; column")[0] for line in lines] == [
        "ORDER_CANCELLED/attempt: lake: its column was of integer, and would be of number"
    ]


def test_an_optional_field_that_goes_is_refused_where_there_is_a_lake(check: Check) -> None:
    """All readers do without it, its column does not."""
    gone = ("    attempt: Annotated[int, Field(ge=1, le=1000)] = 1", "")
    assert check(*gone).exit_code == 0
    assert "its column is filled no more; column curated/order_cancelled.attempt" in refused(check(*gone, *MODELS))[0]


@pytest.mark.parametrize(
    ("new", "broken"),
    [
        ("    partial: bool | None\n", {"forward"}),
        ("    partial: bool | str\n", {"forward", "lake"}),
        ("    partial: bool = False\n", {"forward"}),
        ("    partial: bool\n    places: tuple[Address, ...] = ()\n", set()),
        ("", {"forward", "lake"}),
    ],
    ids=["may be null", "a union", "may be missing", "a list is added", "is removed"],
)
def test_readers_and_columns_are_judged_each_by_their_rule(check: Check, new: str, broken: set[str]) -> None:
    """The table of the page on contracts, where a change is one for the lake and another for readers."""
    result = check("    partial: bool\n", new, *MODELS)
    assert {line.split(": ")[1] for line in result.stdout.splitlines() if line.startswith("STOCK_")} == broken
    assert result.exit_code == (BREAKING if broken else 0)


def test_a_mark_of_personal_data_does_not_go(check: Check) -> None:
    """Whatever compatibility is asked for, each place where the field stood as personal is named."""
    lines = refused(check("    name: Personal\n\n\nclass Address", "    name: _Words\n\n\nclass Address"))
    assert lines == [
        f"{event}/customer/name: personal: is no longer marked as personal data"
        for event in ("ORDER_CANCELLED", "ORDER_COMPLETED", "ORDER_CREATED")
    ]


def test_a_mark_of_personal_data_may_come(check: Check) -> None:
    """It takes the field's column away, which is refused only where there is a lake."""
    marked = ("    country: Annotated[str, Field(", "    country: Annotated[str, Field(json_schema_extra=PERSONAL, ")
    assert check(*marked).exit_code == 0
    assert any("/shipTo/country: lake: " in line for line in refused(check(*marked, *MODELS)))


RAISED = """    TYPE = "OUT_OF_STOCK"
    VERSION = 2
{upcasters}
    shelf: str
"""
LIFTED = "    UPCASTERS = {1: lambda old: old | {'shelf': ''}}"


def test_a_raised_version_with_its_upcaster_is_read(check: Check) -> None:
    """What was written as version 1 is lifted; readers of before take the new field as one they do not know."""
    assert check('    TYPE = "OUT_OF_STOCK"\n', RAISED.format(upcasters=LIFTED)).exit_code == 0


def test_a_raised_version_without_its_upcaster_is_refused(check: Check) -> None:
    """Stored events of version 1 could not be read any more."""
    lines = refused(check('    TYPE = "OUT_OF_STOCK"\n', RAISED.format(upcasters="")))
    assert lines == ["OUT_OF_STOCK: backward: version 1 is no longer read; give it an upcaster"]


def test_an_upcaster_that_was_there_stays(check: Check) -> None:
    """Events of the first version of ORDER_CREATED may still be stored."""
    lines = refused(check("    UPCASTERS = {1: _created_v1}", "    UPCASTERS = {}"))
    assert lines == ["ORDER_CREATED: backward: version 1 is no longer read; give it an upcaster"]


def test_a_version_does_not_go_back(check: Check) -> None:
    """A version that was published means what it meant."""
    assert "its contract has gone back to 1" in refused(check("    VERSION = 2\n", "    VERSION = 1\n"))[0]


def test_an_event_does_not_go(tmp_path: Path) -> None:
    """An event that was promised and is in the flow no more is named."""
    schema = json.loads((COMMITTED / "schemas/OUT_OF_STOCK.v1.json").read_text()) | {"x-event": "SOLD_OUT"}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/SOLD_OUT.v1.json").write_text(json.dumps(schema))
    result = contracts("check", SHOP, "--against", tmp_path, "--module", "orderflow_shop.events")
    assert refused(result) == [
        "SOLD_OUT: backward: is no longer in the flow; events of it are stored, and readers may wait for more"
    ]


def git(folder: Path, *arguments: str) -> None:
    """Run git as a person who has set nothing."""
    own = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *own, *arguments], check=True, capture_output=True)


def test_a_commit_is_what_was_promised(
    tmp_path: Path, module: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export as a commit has it is compared, also when the folder has gone on since."""
    edited = module("    partial: bool\n", "    partial: bool\n    note: str\n")
    (repository := tmp_path / "repository").mkdir()
    git(repository, "init", "--quiet")
    contracts("export", SHOP, "--to", repository / "kept", "--module", "orderflow_shop.events")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "promised")
    contracts("export", SHOP, "--to", repository / "kept", "--module", edited)
    monkeypatch.chdir(repository)
    assert contracts("check", SHOP, "--against", "kept", "--module", edited).exit_code == 0
    assert len(refused(contracts("check", SHOP, "--against", "HEAD:kept", "--module", edited))) == 1


@pytest.mark.parametrize(
    ("against", "told"),
    [
        ("nowhere", "nowhere is neither a folder nor COMMIT:FOLDER"),
        ("--output=x:y", "is neither a folder nor COMMIT:FOLDER"),
        ("no-such-commit:docs", "git: "),
        (".", "has no schemas/EVENT.vN.json"),
    ],
)
def test_what_cannot_be_compared_with_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, against: str, told: str
) -> None:
    """Exit code 1 says that nothing was judged, apart from 3, that something breaks."""
    monkeypatch.chdir(tmp_path)
    result = contracts("check", SHOP, f"--against={against}", "--module", "orderflow_shop.events")
    assert (result.exit_code, told in result.stderr) == (1, True), result.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON Schema"),
        ('{"type": "nothing"}', "is no JSON Schema"),
        ('{"type": "object"}', "does not say of which event"),
        ('{"x-event": "A", "x-version": 1, "x-reads": ["one"]}', "does not say of which event"),
        ("\x1b[31m\xff", "is no JSON"),
        ("[" * 100_000, "is no JSON that can be read"),
        ('{"items":' * 900 + "{}" + "}" * 900, "is nested too deeply"),
    ],
)
def test_an_export_that_is_none_is_named(tmp_path: Path, text: str, told: str) -> None:
    """A file that somebody has edited ends in one line, without what could command a terminal."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/A.v1.json").write_bytes(text.encode("latin-1"))
    result = contracts("check", SHOP, "--against", tmp_path, "--module", "orderflow_shop.events")
    assert (result.exit_code, told in result.stderr, "\x1b" in result.output) == (1, True, False), result.output


def test_models_that_are_not_there_are_named(tmp_path: Path) -> None:
    """A folder without models would say that nothing is reached."""
    more = ("--module", "orderflow_shop.events", "--models", tmp_path)
    result = contracts("check", SHOP, "--against", COMMITTED, *more)
    assert (result.exit_code, "has no model" in result.stderr) == (1, True)
