"""A wrong value is refused before anything is made, by an error that names it."""

from pathlib import Path

import pytest

from support.cluster.helm import OPERATOR, PLATFORM, Helm, HelmError, Json

pytestmark = pytest.mark.timeout(1800)  # the first run compiles Helm

WRONG: list[tuple[Path, Json, str]] = [
    (OPERATOR, {"replicas": 2}, "'replicas' not allowed"),
    (OPERATOR, {"image": {"tagg": "1"}}, "'/image': additional properties 'tagg'"),
    (OPERATOR, {"image": {"tag": 1}}, "'/image/tag': got number, want string"),
    (OPERATOR, {"image": {"digest": "sha256:abc"}}, "'/image/digest'"),
    (OPERATOR, {"logLevel": "verbose"}, "'/logLevel': value must be one of 'DEBUG'"),
    (OPERATOR, {"watchNamespaces": "shop"}, "'/watchNamespaces': got string, want array"),
    (OPERATOR, {"watchNamespaces": ["Shop"]}, "'/watchNamespaces/0'"),
    (OPERATOR, {"rolloutDeadline": 0}, "'/rolloutDeadline'"),
    (OPERATOR, {"webhook": {"certificate": "certManager"}}, "'/webhook/certificate'"),
    (OPERATOR, {"networkPolicy": {"kafkaPorts": ["9092:9094"]}}, "'/networkPolicy/kafkaPorts/0'"),
    (OPERATOR, {"flowEgress": [{"too": []}]}, "'/flowEgress/0': additional properties 'too'"),
    (OPERATOR, {"webhook": {"issuerRef": {"nam": "ca"}}}, "'/webhook/issuerRef': additional properties 'nam'"),
    (OPERATOR, {"networkPolicy": {"kafkaPorts": ["9092"]}}, "'/networkPolicy/kafkaPorts/0'"),
    (OPERATOR, {"resources": {"limits": {"cpu": "lots"}}}, "'/resources/limits/cpu'"),
    (OPERATOR, {"extraEnv": [{"value": "x"}]}, "'/extraEnv/0': missing property 'name'"),
    (OPERATOR, {"podMonitor": {"interval": "30"}}, "'/podMonitor/interval'"),
    (OPERATOR, {"serviceAccount": {"create": False}}, "serviceAccount.name must be given"),
    (PLATFORM, {"kafka": {"type": "strimzi"}}, "'/kafka/type': value must be one of 'Auto', 'Strimzi', 'Broker'"),
    (PLATFORM, {"kafka": {"storage": "5"}}, "'/kafka/storage'"),
    (PLATFORM, {"kafka": {"strimzi": {"nodes": 0}}}, "'/kafka/strimzi/nodes'"),
    (PLATFORM, {"postgres": {"password": "x"}}, "'/postgres': additional properties 'password'"),
    (PLATFORM, {"postgres": {"existingSecret": "My Secret"}}, "'/postgres/existingSecret'"),
    (PLATFORM, {"postgres": {"existingSecret": "mine"}}, "existingSecret and postgres.existingUriSecret go together"),
    (
        PLATFORM,
        {"postgres": {"existingUriSecret": "mine"}},
        "existingSecret and postgres.existingUriSecret go together",
    ),
    (PLATFORM, {"collector": {"endpoint": "http://tempo:4317"}}, "'/collector/endpoint'"),
]


@pytest.mark.parametrize(("chart", "values", "told"), WRONG, ids=[told for _, _, told in WRONG])
def test_a_wrong_value_is_named(helm: Helm, chart: Path, values: Json, told: str) -> None:
    """The error says where the value stands and what is wrong with it."""
    with pytest.raises(HelmError) as refused:
        helm.render(chart, values)
    assert told in str(refused.value)
