"""Which columns a mart's columns are made from, as the SQL says that dbt compiled.

dbt's manifest knows models, not columns: those are read from the SQL by sqlglot, as dbt's own plugin for Dagster does.
What only filters, joins or groups is no origin of a column; a model that sqlglot cannot read has none that are known.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.schema import MappingSchema

from orderflow_analytics.contracts.contract import Contract
from orderflow_analytics.lake.zones import QUARANTINE, Lake, curated_schema
from orderflow_analytics.lineage.datasets import Dataset, lake_table
from orderflow_analytics.lineage.steps import Output, Step
from orderflow_analytics.marts.artifacts import Artifacts

_DIALECT = "duckdb"
_ANY = "VARIANT"
Columns = Mapping[str, list[tuple[str, str]]]
"""Of each column the tables and their columns that it is made from."""


def mart_steps(
    lake: Lake, contracts: Iterable[Contract], made: Artifacts, marts: Mapping[str, pa.Schema]
) -> list[Step]:
    """Return how marts of these columns come from curated tables and from other marts."""
    tables = {one.table: lake_table(lake.curated_uri(one), curated_schema(one)) for one in contracts}
    tables["quarantine"] = lake_table(lake.quarantine_uri, QUARANTINE)
    written = {name: lake_table(lake.mart_uri(name), columns) for name, columns in marts.items()}
    known = tables | written
    steps = []
    for mart, columns in mart_columns(made, known, frozenset(marts)).items():
        origins = {
            column: [(known[table], name) for table, name in found if table in known]
            for column, found in columns.items()
        }
        inputs = {one.name: one for found in origins.values() for one, _ in found}
        steps.append(Step(f"dbt.{mart}", tuple(inputs.values()), (Output(written[mart], origins),)))
    return steps


def mart_columns(made: Artifacts, known: Mapping[str, Dataset], marts: frozenset[str]) -> dict[str, Columns]:
    """Return of each of these marts its columns, seen through all models that are none of the tables that are known."""
    models = [one for one in made.models if one.relation]  # an ephemeral one stands in the SQL of its readers
    names = {one.relation: one.name for one in models} | dict(made.sources)
    names = {_plain(relation): name for relation, name in names.items()}
    through = {_plain(one.relation): one.sql for one in models if one.name not in known}
    schema = MappingSchema(dialect=_DIALECT)
    for relation, name in names.items():
        if name in known:
            schema.add_table(relation, dict.fromkeys(known[name].columns, _ANY), dialect=_DIALECT)
    return {one.name: _columns(one.sql, schema, through, names) for one in models if one.name in marts}


def _columns(sql: str, schema: MappingSchema, through: Mapping[str, str], names: Mapping[str, str]) -> Columns:
    try:
        found = lineage(None, sql, schema, sources=dict(through), dialect=_DIALECT)
    except SqlglotError:
        return {}
    return {column: _leaves(node, names) for column, node in found.items()}


def _leaves(node: Node, names: Mapping[str, str]) -> list[tuple[str, str]]:
    leaves = set()
    for one in node.walk():
        table = one.expression if isinstance(one.expression, exp.Table) else None
        if table is not None and not one.downstream and (name := names.get(_plain(table.sql(_DIALECT)))):
            leaves.add((name, one.name.rpartition(".")[2].strip('"')))
    return sorted(leaves)


def _plain(relation: str) -> str:
    """Return a relation's name without quotes and alias, as sqlglot compares it."""
    table = sqlglot.to_table(relation.partition(" AS ")[0], dialect=_DIALECT)
    return ".".join(part.name for part in table.parts)
