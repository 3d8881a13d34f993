"""Makes what tests compile or generate, ahead of them and beside others: `make programs`; `make test` begins with it.

Whoever needs one of them meanwhile waits for it (build_lock.py). What cannot be made is said by the tests that need it.
"""

from contextlib import suppress
from functools import partial

import pytest

from support.analytics.toxiproxy import toxiproxy_program
from support.cluster.crds import certificate_crds, keda_crds, prometheus_crds, strimzi_crds
from support.cluster.helm import MAJORS, helm_program
from support.cluster.manifest_linters import checkov, kube_score
from support.records.prometheus import programs
from support.tools.go_tools import control_plane_programs
from support.tools.servers import kafka_program
from support.tools.workflows import actionlint


def main() -> None:
    """Make one after the other, in the order in which `make test` needs them."""
    helms = [partial(helm_program, major) for major in MAJORS]
    crds = (strimzi_crds, keda_crds, prometheus_crds, certificate_crds)
    go = (control_plane_programs, checkov, kube_score, *helms, toxiproxy_program)
    for make in (actionlint, programs, kafka_program, *crds, *go):
        with suppress(pytest.skip.Exception, pytest.fail.Exception):
            make()


if __name__ == "__main__":
    main()
