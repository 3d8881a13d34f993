"""The API's OpenAPI document: every endpoint is in it, every reference holds, and its examples are the truth."""

import re
from typing import Any

from starlette.routing import Route


def references(node: Any) -> list[str]:
    """Give every $ref below a node."""
    if isinstance(node, list):
        return [ref for item in node for ref in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [ref for item in node.values() for ref in references(item)]


async def test_document_describes_every_endpoint(door) -> None:
    """Every route has its path and method in the document, and no other is there."""
    document = (await door.get("/openapi.json")).json
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    routes = [route for route in door.app.routes if isinstance(route, Route) and route.path != "/openapi.json"]
    assert described == {(route.path, m) for route in routes for m in route.methods or () if m != "HEAD"}


async def test_every_reference_and_path_parameter_is_defined(door) -> None:
    """No $ref points nowhere, and what stands in braces in a path is declared."""
    document = (await door.get("/openapi.json")).json
    schemas = document["components"]["schemas"]
    assert {ref.removeprefix("#/components/schemas/") for ref in references(document)} <= set(schemas)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


async def test_refusals_are_problem_details_and_bodies_are_closed(door) -> None:
    """Every 4xx and 5xx is problem+json; request schemas forbid unknown fields."""
    document = (await door.get("/openapi.json")).json
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                assert ("application/problem+json" in response["content"]) == (int(status) >= 400)
    for name in ("OrderRequest", "KeyedOrderRequest", "LineRequest", "CustomerRequest"):
        assert document["components"]["schemas"][name]["additionalProperties"] is False
