"""*Events*: a topic's records, the newest first or from a time on, by partition, key, type or a part of their data."""

import asyncio
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow_console.queries.events import EventFilter, browse_events
from orderflow_console.queries.masking import mask_headers, personal_fields
from orderflow_console.web.context import console_of
from orderflow_console.web.fields import fields, moment, number, options
from orderflow_model.topics import event_topic

# no name that a form in a browser has itself, such as contains
_FIELDS = ("partition", "since", "key", "type", "part", "where")
_OPTIONS = {"partition": "--partition", "key": "--key", "part": "--contains", "where": "--where", "since": "--since"}
_SHOWN = 50


async def show_all(request: Request) -> Response:
    """Show which events can be looked at."""
    console = console_of(request)
    topics = {event.name: event_topic(console.flow, event).name for event in console.flow.spec.events}
    return console.render.page("events.html", topics=topics)


async def show(request: Request) -> Response:
    """Show a page of records, and how far it looked."""
    console, topic = console_of(request), request.path_params["topic"]
    asked = fields(request.query_params, _FIELDS)
    where = EventFilter(
        partition=number(asked, "partition") if "partition" in asked else None,
        key=asked.get("key"),
        type=asked.get("type"),
        contains=asked.get("part"),
        since=moment(asked, "since"),
        expression=asked.get("where"),
    )
    personal, after = personal_fields(console.flow).get(topic), request.query_params.get("after")
    found = await asyncio.to_thread(browse_events, console.kafka, topic, where, after, _SHOWN, personal)
    return console.render.page(
        "topic_events.html",
        topic=topic,
        asked=asked,
        field=dict.fromkeys(_FIELDS, "") | asked,
        found=found,
        words=["events", "list", topic, *options(asked, _OPTIONS)],
        mask_headers=mask_headers,
        more=f"?{urlencode(asked | {'after': found.next})}" if found.next else None,
    )


ROUTES = (Route("/events", show_all), Route("/events/{topic}", show))
