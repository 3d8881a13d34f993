"""What the shop's services and the provider's simulator read of their environment: a wrong value is named, with 78."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import orderflow_notification.__main__ as notification
import orderflow_payment.__main__ as payment
import orderflow_provider.__main__ as provider
from orderflow_runtime import MisconfiguredError, Service, Settings
from support.runtime.sample_service import sample_config

NO_NUMBERS = ["abc", "-1", "1.5", "٣", "9" * 11]


@pytest.mark.parametrize(
    ("build", "name", "values"),
    [
        (payment.build, "PAYMENT_PROVIDER_URL", ["", "provider", "ftp://provider", "http://", "http://provider:port"]),
        (payment.build, "PAYMENT_PROVIDER_TIMEOUT", ["abc", "nan", "inf", "-1", "0", "0.0", "1e9", "٣"]),
        (
            notification.build,
            "NOTIFICATION_SMTP_URL",
            ["mail", "http://mail", "smtp://", "smtp://mail:port", "smtp://["],
        ),
        (notification.build, "NOTIFICATION_FROM", ["orders", "@example.org", "a b@example.org", "a@", "a@b\nBcc: c@d"]),
    ],
)
def test_a_wrong_value_is_refused_when_the_service_is_built(
    build: Callable[[Settings], Service], name: str, values: list[str]
) -> None:
    """The message names the variable: `main` ends with it and 78."""
    right = {"PAYMENT_PROVIDER_URL": "http://provider:8080", "NOTIFICATION_SMTP_URL": "smtp://mail"}
    build(Settings(sample_config(), right))
    for value in values:
        with pytest.raises(MisconfiguredError, match=name):
            build(Settings(sample_config(), right | {name: value}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ORDERFLOW_HTTP_HOST", ["no such host", "8.8.8.8", "a..b"]),
        ("ORDERFLOW_HTTP_PORT", NO_NUMBERS),
        ("ORDERFLOW_HTTP_DRAIN", NO_NUMBERS),
        ("PROVIDER_SEED", NO_NUMBERS),
        ("PROVIDER_STATE", ["/", "/no/such/folder/state"]),
    ],
)
def test_the_simulator_ends_with_the_name_of_its_variable(
    name: str, values: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and 78, and no traceback."""
    monkeypatch.chdir(tmp_path)
    for value in values:
        monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            provider.main()
        said = capsys.readouterr().err
        assert (ended.value.code, said.count("\n")) == (os.EX_CONFIG, 1)
        assert name in said
