"""*Topics* as Kafka has them: a list of all that are the flow's, and one with its partitions and settings."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow_console.queries import topics
from orderflow_console.web.context import console_of
from orderflow_console.web.fields import number
from orderflow_model.topics import flow_topics

_TOPICS, _PARTITIONS = 200, 500


async def show_list(request: Request) -> Response:
    """Show a page of the topics, those in trouble first."""
    console = console_of(request)
    others = {topic.name for topic in flow_topics(console.flow)}
    found = await asyncio.to_thread(topics.list_topics, console.kafka, console.flow.metadata.name, others)
    part = request.query_params.get("name", "").strip()
    chosen = sorted((one for one in found if part in one.name), key=lambda one: (not one.leaderless, one.name))
    start = number(request.query_params, "from")
    return console.render.page(
        "topics.html", topics=chosen[start : start + _TOPICS], total=len(chosen), start=start, step=_TOPICS, part=part
    )


async def show(request: Request) -> Response:
    """Show one topic."""
    console = console_of(request)
    found = await asyncio.to_thread(topics.get_topic, console.kafka, request.path_params["name"])
    start = number(request.query_params, "from")
    shown = found.partitions[start : start + _PARTITIONS]
    return console.render.page("topic.html", topic=found, partitions=shown, start=start, step=_PARTITIONS)


ROUTES = (Route("/topics", show_list), Route("/topics/{name}", show))
