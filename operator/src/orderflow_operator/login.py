"""Who the operator is to the API server: kopf's handler and our own client ask here, so that both come in alike.

KUBECONFIG (or ~/.kube/config) names the cluster; without it the pod's own account is used.
"""

import kopf


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Return address, certificates and token as they stand now; raise LoginError when there are none."""
    found = kopf.login_with_kubeconfig(settings=settings) or kopf.login_with_service_account(settings=settings)
    if found is None:
        raise kopf.LoginError("no cluster is known: set KUBECONFIG, or run in a pod that mounts its account's token")
    return found
