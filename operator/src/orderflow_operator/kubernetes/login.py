"""Who the operator is to the API server: kopf's handler and our own client ask here, so that both come in alike.

KUBECONFIG names the cluster; without it the pod's own account is used, and outside of pods ~/.kube/config.
"""

import os

import kopf


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Return address, certificates and token as they stand now; raise `LoginError` when there are none."""
    if "KUBECONFIG" not in os.environ and (account := kopf.login_with_service_account(settings=settings)):
        return account
    return _by_kubeconfig(settings)


def _by_kubeconfig(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Read a person's kubeconfig as kubectl does, programs that give tokens included."""
    try:
        # not above: it takes half a second, and the image does without its 75 MB
        from kubernetes import client, config
    except ImportError:
        raise kopf.LoginError("to use a kubeconfig, install the Python package `kubernetes`") from None
    found = client.Configuration()
    try:
        file = os.environ.get("KUBECONFIG", config.KUBE_CONFIG_DEFAULT_LOCATION)
        config.load_kube_config(file, client_configuration=found)  # type: ignore[no-untyped-call]  # has no types
    except config.ConfigException as error:
        raise kopf.LoginError(
            f"no cluster is known: set KUBECONFIG, or run in a pod that mounts its token ({error})"
        ) from error
    scheme, _, token = (found.get_api_key_with_prefix("BearerToken") or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        username=found.username,
        password=found.password,
        scheme=scheme or None,
        token=token or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        trust_env=settings.networking.trust_env,
    )
