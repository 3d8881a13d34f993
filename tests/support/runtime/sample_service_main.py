"""The sample service as a process, `python -m support.runtime.sample_service_main`; as `source` it only publishes.

`POST /do/{key}/{n}` hands in a command.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from orderflow_runtime import Intake, Service, Settings, UnavailableError, main
from support.runtime.sample_service import Do, Outside, Script, sample_service, source_service


def api(intake: Intake) -> ASGIApp:
    """Give the endpoint."""

    async def do(request: Request) -> JSONResponse:
        try:
            value = await intake.submit(Do(request.path_params["key"], request.path_params["n"]))
        except UnavailableError as error:
            return JSONResponse(str(error), 503)
        return JSONResponse(value)

    return Starlette(routes=[Route("/do/{key}/{n:int}", do, methods=["POST"])])


def build(settings: Settings) -> Service:
    """Give the service that the configuration names."""
    make = source_service if settings.config.service == "source" else sample_service
    return make(Script(), Outside(), app=api)


if __name__ == "__main__":
    main(build)
