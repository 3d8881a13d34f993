"""What stands in two places is the same in both: the CRD, the operator's rights, versions, the tables of values."""

import subprocess
import sys
import tomllib

import pytest
import yaml

from support.cluster.helm import CHARTS, OPERATOR, PLATFORM, ROOT, Helm

pytestmark = pytest.mark.timeout(1800)  # the first run compiles Helm


def test_the_crd_is_the_generated_one(helm: Helm) -> None:
    """The chart installs what the models generate, kept on uninstall unless a value says otherwise."""
    generated = yaml.safe_load((ROOT / "manifests/crds/orderflows.orderflow.dev.yaml").read_text())
    for keep in (True, False):
        made = next(
            item
            for item in helm.render(OPERATOR, {"crds": {"keep": keep}})
            if item["kind"] == "CustomResourceDefinition"
        )
        assert made["spec"] == generated["spec"], "run `python -m orderflow_model.crd`"
        assert made["metadata"]["name"] == generated["metadata"]["name"]
        assert made["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == ("keep" if keep else None)
    assert all(
        item["kind"] != "CustomResourceDefinition" for item in helm.render(OPERATOR, {"crds": {"install": False}})
    )


def test_the_operator_may_do_what_its_tests_prove_it_needs(helm: Helm) -> None:
    """The chart's roles have the rules of manifests/rbac.yaml, under which the operator's own tests run."""
    plain = yaml.safe_load_all((ROOT / "manifests/rbac.yaml").read_text())
    wanted = {item["metadata"]["name"]: item["rules"] for item in plain if item["kind"] == "ClusterRole"}
    made = {item["metadata"]["name"]: item["rules"] for item in helm.render(OPERATOR) if item["kind"] == "ClusterRole"}
    assert made == wanted


def test_versions_are_the_projects() -> None:
    """Charts and images of one version belong together."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for chart in CHARTS:
        described = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert (described["version"], described["appVersion"]) == (version, version)
    values = yaml.safe_load((PLATFORM / "values.yaml").read_text())
    assert values["paymentProvider"]["image"].endswith(f":{version}")


def test_the_readmes_tell_all_values() -> None:
    """The tables of values are those of values.yaml, with a sentence for each."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/chart_readmes.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
