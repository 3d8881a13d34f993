"""A page that people read: each event of a flow, who publishes and hears it, its fields, and what of them is personal.

It is one file that asks nothing of anybody: no script, no address outside. All text that is not ours is escaped.
"""

from collections.abc import Iterable
from html import escape

from orderflow_cli.contracts.event_contract import EventContract
from orderflow_model.contracts.schema import Field
from orderflow_model.flow import OrderFlow

_HOUR_MS = 3_600_000
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #bbb;"
    "vertical-align:top}code{font-size:90%}.personal{font-weight:bold}dt{font-weight:bold}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def catalogue(flow: OrderFlow, contracts: Iterable[EventContract]) -> str:
    """Return the page, as HTML."""
    contracts = tuple(contracts)
    name = escape(flow.metadata.name)
    index = "".join(f'<li><a href="#{escape(one.event)}">{escape(one.event)}</a></li>\n' for one in contracts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Events of {name}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Events of {name}</h1>\n<ul>\n{index}</ul>\n"
        f"{''.join(map(_event, contracts))}</body>\n</html>\n"
    )


def _event(contract: EventContract) -> str:
    facts = {
        "Version": str(contract.version),
        "Topic": contract.topic.name,
        "Owner, publishes it": ", ".join(contract.producers) or "nobody",
        "Subscribe it": ", ".join(contract.consumers) or "nobody",
        "Kept on its topic": _duration(contract.topic.retention_ms),
        "Personal data": ", ".join(_personal(contract.data)) or "none known",
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in facts.items())
    event = escape(contract.event)
    words = f"<p>{escape(contract.words)}</p>\n" if contract.words else ""
    return f'<section id="{event}">\n<h2>{event}</h2>\n{words}<dl>\n{listed}</dl>\n{_fields(contract.data)}</section>\n'


def _fields(data: Field | None) -> str:
    if data is None:
        return "<p>Its data are described nowhere that this page was made from.</p>\n"
    head = "<tr><th>Field</th><th>Type</th><th>Required</th><th>Personal</th><th>Meaning</th></tr>\n"
    return f"<table>\n{head}{''.join(map(_row, data.walk()))}</table>\n"


def _row(field: Field) -> str:
    required = "yes" if field.required else "no"
    personal = '<td class="personal">yes</td>' if field.personal else "<td>no</td>"
    return (
        f"<tr><td><code>{escape(field.place)}</code></td><td>{escape(field.kind)}</td><td>{required}</td>{personal}"
        f"<td>{escape(field.words)}</td></tr>\n"
    )


def _personal(data: Field | None) -> list[str]:
    return [field.place for field in data.walk() if field.personal and not field.below] if data else []


def _duration(milliseconds: int) -> str:
    hours = milliseconds / _HOUR_MS
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
