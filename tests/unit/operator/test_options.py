"""The operator's command line."""

import pytest

from orderflow_operator.options import parse


def test_all_namespaces_are_watched_unless_some_are_named() -> None:
    """Nothing said is everything."""
    assert parse([]).namespaces == parse(["--all-namespaces"]).namespaces == ()
    assert parse(["--namespace", "a", "--namespace", "b"]).namespaces == ("a", "b")


def test_some_and_all_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Contradictions end in a sentence."""
    with pytest.raises(SystemExit):
        parse(["--all-namespaces", "--namespace", "a"])
    assert "not allowed with" in capsys.readouterr().err


def test_the_webhook_is_off_unless_it_has_a_port() -> None:
    """The operator works the same without it."""
    assert parse([]).webhook_port is None
    assert parse(["--webhook-port", "9443"]).webhook_port == 9443


def test_labels_of_monitors_are_told_by_name_and_value(capsys: pytest.CaptureFixture[str]) -> None:
    """Those by which objects are found as ours are not for the taking."""
    given = parse(["--monitoring-label", "release=prometheus", "--runbooks", "https://pages.example"]).monitoring
    assert (given.labels, given.runbooks) == ({"release": "prometheus"}, "https://pages.example")
    for label in ("release", "=x", "orderflow.dev/flow=other", "app.kubernetes.io/managed-by=me"):
        with pytest.raises(SystemExit):
            parse(["--monitoring-label", label])
        assert "NAME=VALUE" in capsys.readouterr().err
