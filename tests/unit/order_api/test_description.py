"""The order API is what its description says, whatever it is sent: schemathesis makes the requests."""

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from orderflow_order.http.api import build_app
from support.runtime.order_desk import NOW, OrderDesk
from support.tools.portion import Portion

REQUESTS = 200
"""Of each operation; a tenth of them in `make test`."""


def no_schema_says(answer: Response) -> bool:
    """Whether a refusal is of what no schema can speak of: a key that has another order, a sum that is too large."""
    return b"idempotency-key-reused" in answer.content or b"the lines cost more than" in answer.content


def test_every_answer_is_one_that_the_description_promises(chaos: Portion) -> None:
    """No request makes a fault, and each answer has a status, type and body that are described."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", build_app(OrderDesk(), "a secret", lambda: NOW))
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        tried += 1

        @settings(
            max_examples=chaos.size(REQUESTS),
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Case) -> None:
            answer = case.call()
            beyond = [positive_data_acceptance] if no_schema_says(answer) else []
            case.validate_response(answer, excluded_checks=beyond)

        check()
    assert tried >= 6
