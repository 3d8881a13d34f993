"""*Catalogue*: each event of the flow, who says and who hears it, its topic, its schema and what of it is personal."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow_console.web.context import console_of
from orderflow_model.topics import event_topic


async def show(request: Request) -> Response:
    """Show all events, as the resource has them."""
    console = console_of(request)
    flow = console.flow
    events = [
        {
            "event": event,
            "topic": event_topic(flow, event),
            "publishers": [one.name for one in flow.services if event.name in one.publishes],
            "subscribers": [one.name for one in flow.services if event.name in one.subscribes],
        }
        for event in flow.spec.events
    ]
    return console.render.page("catalogue.html", events=events, saga=flow.spec.saga)


ROUTES = (Route("/catalogue", show),)
