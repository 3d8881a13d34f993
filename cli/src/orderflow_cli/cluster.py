"""A cluster as a person's kubeconfig names it, asked for what a command needs; KUBECONFIG is heard."""

import os
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json

from orderflow_cli.errors import LaptopError, UnknownNameError
from orderflow_model.findings import InvalidResourceError
from orderflow_model.flow import GROUP, PLURAL, VERSION, OrderFlow
from orderflow_model.loading.load import parse_flow

_SECONDS = 10


class ClusterError(LaptopError):
    """No cluster is known, it does not answer, or it refuses; the message says which."""


class Cluster:
    """The cluster of the kubeconfig's context; raise `ClusterError` when there is none."""

    def __init__(self) -> None:
        # not above: it takes half a second, and few commands need it
        from kubernetes import client, config

        file = os.environ.get("KUBECONFIG", config.KUBE_CONFIG_DEFAULT_LOCATION)
        settings = client.Configuration()
        settings.retries = False
        try:
            config.load_kube_config(file, client_configuration=settings)  # type: ignore[no-untyped-call]  # has no types
            _, context = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]  # has no types
            self.namespace: str = context["context"].get("namespace", "default")
            self._client = client.ApiClient(settings)
        except Exception as error:  # the client breaks over an odd file in ways of its own
            raise ClusterError(f"no cluster is known: {error}", "Set KUBECONFIG, or log in to the cluster") from None
        self.host: str = settings.host
        token = settings.get_api_key_with_prefix("BearerToken")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self._headers |= {"Authorization": token} if token else {}

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the API server; raise `UnknownNameError` or `ClusterError`."""
        return self._call("GET", path)

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Return whether the person may do this, as the API server judges."""
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    def flow(self, name: str, namespace: str | None) -> OrderFlow:
        """Return a flow as the cluster has it; raise `UnknownNameError` or `ClusterError`."""
        place = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace or self.namespace}/{PLURAL}/{name}"
        try:
            return parse_flow(self.get(place))
        except InvalidResourceError as error:
            raise ClusterError(f"{self.host} has a flow of another form: {error}", "Is the operator as new?") from None

    def _call(self, verb: str, path: str, body: Any = None) -> Any:
        from kubernetes.client import ApiException  # as above
        from urllib3.exceptions import HTTPError

        try:
            answer = self._client.call_api(verb, self.host + path, self._headers, body, _request_timeout=_SECONDS)
            status, text = answer.status, answer.read()  # type: ignore[no-untyped-call]  # has no types
        except HTTPError as error:
            raise ClusterError(f"{self.host} does not answer: {error}", "Is it up, and KUBECONFIG right?") from None
        except ApiException as error:
            status, text = error.status, b""
        if status == HTTPStatus.NOT_FOUND:
            raise UnknownNameError(f"{self.host} has no {path}", "Is the name right, and the namespace?")
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise ClusterError(f"{self.host} answers {status} to {path}", "Log in anew, or ask for the right")
        try:
            return from_json(text)
        except ValueError:
            raise ClusterError(f"{self.host} is no API server", "Is KUBECONFIG right?") from None
