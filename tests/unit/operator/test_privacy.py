"""`spec.privacy` on a cluster: readers get the secret by reference, and a right in the database; others neither."""

import json
from typing import Any

from orderflow_model import environment
from orderflow_model.loading.load import parse_flow
from orderflow_operator.resources.build_context import BuildContext, Database
from orderflow_operator.resources.desired import desired
from orderflow_operator.resources.migrationjob import TASK_ANNOTATION


def test_readers_alone_get_the_secret_and_the_right(document: dict[str, Any]) -> None:
    """By reference, so that it stands in no object of ours."""
    reader, *others = [service["name"] for service in document["spec"]["services"]]
    reference = {"name": "shop-privacy", "key": "secret"}
    document["spec"]["privacy"] = {"secret": {"secretKeyRef": reference}, "readers": [reader]}
    objects = desired(parse_flow(document), BuildContext(keda=True, database=Database()))
    with_secret, with_right = set(), set()
    for one in objects:
        pod = one.get("spec", {}).get("template", {})
        for container in pod.get("spec", {}).get("containers", ()):
            variables = {v["name"]: v for v in container["env"]}
            if (found := variables.get(environment.PRIVACY_KEY)) is not None:
                assert found["valueFrom"] == {"secretKeyRef": reference}
                with_secret.add(one["metadata"]["labels"]["orderflow.dev/service"])
        task = json.loads(pod.get("metadata", {}).get("annotations", {}).get(TASK_ANNOTATION, "{}"))
        with_right |= set(task.get("readers", ()))
    assert others
    assert with_secret == with_right == {reader}
