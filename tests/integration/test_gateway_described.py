"""The running gateway against its own description: schemathesis makes requests of it, good and bad, and judges the answers."""
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance)

from tests.lab.gateway import DESCRIPTION, Gateway, event

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
OPERATIONS = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in item]


@pytest.fixture
def gateway(city, directory):
    secret = directory / f"secret-{city.name}"
    secret.write_bytes(b"s" * 32)
    return Gateway(city, "--visitor-secret-file", secret, "--allow-origin", "*")


def test_every_answer_is_as_described(city, gateway):
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    schema.config.update(base_url=f"http://127.0.0.1:{gateway.port}")
    gateway.post([event("a"), event("b")])
    gateway.post(event("a", -4))
    city.fold()
    statuses = {}
    for path, method in OPERATIONS:
        takes_something = {"parameters", "requestBody"} & set(DESCRIPTION["paths"][path][method])
        for mode in (POSITIVE, NEGATIVE) if takes_something else (POSITIVE,):
            seen = statuses.setdefault((path, method, mode), set())

            @hypothesis.settings(max_examples=40, derandomize=True, database=None, deadline=None,
                                 suppress_health_check=list(hypothesis.HealthCheck))
            @hypothesis.given(case=schema[path][method.upper()].as_strategy(generation_mode=mode))
            def each(case):
                seen.add(case.call_and_validate(headers={"Authorization": f"Bearer {gateway.token}"}, checks=CHECKS, timeout=60).status_code)
            each()
    assert {200, 422} <= statuses["/v1/events", "post", POSITIVE] | statuses["/v1/events", "post", NEGATIVE], statuses
    assert 200 in statuses["/v1/refused", "get", POSITIVE] and 400 in statuses["/v1/refused", "get", NEGATIVE], statuses
    assert 400 in statuses["/v1/events/{event_id}", "get", NEGATIVE], statuses
