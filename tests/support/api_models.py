"""Objects judged by the Python client's models of Kubernetes' kinds, where there is no API server to ask."""

from typing import Any

from kubernetes import client

Json = dict[str, Any]


def misread(item: Json) -> Json | None:
    """Give what the kind's model makes of an object where that differs from the object: unknown fields, wrong types.

    None where all is known, and where the kind is not one of Kubernetes' own.
    """
    group, _, version = item["apiVersion"].rpartition("/")
    model = f"{version.capitalize()}{item['kind']}"
    if (group and "." in group and not group.endswith(".k8s.io")) or not hasattr(client, model):
        return None
    api = client.ApiClient()
    # the client's own reader; it takes an answer's text, and what it does not know it leaves out
    read = api.sanitize_for_serialization(api._ApiClient__deserialize(item, model))
    return None if read == item else dict(read)
