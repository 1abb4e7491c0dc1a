# SPDX-License-Identifier: Apache-2.0
"""Event as a field of pydantic models and in FastAPI; the hook of pydantic 2, as far as it can be seen
without pydantic 2."""

import json
import sys
import types
from typing import List, Optional

import pytest
from necrostack.core.event import Event, ValidationError

pydantic = pytest.importorskip("pydantic")
one = pytest.mark.skipif(not pydantic.VERSION.startswith("1."), reason="needs pydantic 1")


class Paid(Event):
    event_type = "PAID"


if pydantic.VERSION.startswith("1."):
    class Envelope(pydantic.BaseModel):
        event: Event
        paid: Optional[Paid] = None
        others: List[Event] = []


@one
def test_a_field_takes_events_and_dicts():
    event = Event("T", {"k": 1})
    envelope = Envelope(event=event, paid={"payload": {"n": 1}}, others=[{"event_type": "U"}, event])
    assert envelope.event is event and envelope.others[1] is event
    assert (type(envelope.paid), envelope.paid.event_type) == (Paid, "PAID")
    assert envelope == Envelope(**envelope.dict())
    assert envelope.copy(deep=True) == envelope


@one
def test_the_faults_are_the_models():
    with pytest.raises(pydantic.ValidationError) as caught:
        Envelope(event={"event_type": "T", "payload": {"a": float("nan")}}, others=[1])
    messages = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert "Number should be finite" in messages[("event",)]
    assert set(messages) == {("event",), ("others", 0)}


@one
def test_json_both_ways():
    envelope = Envelope(event=Event("T", {"k": [1, None]}), paid=Paid(payload={"n": 1}))
    assert json.loads(envelope.json())["event"] == envelope.event.model_dump(mode="json")
    assert Envelope.parse_raw(envelope.json()) == envelope


@one
def test_the_schema_says_what_an_event_is():
    schema = Envelope.schema()["properties"]["event"]
    assert schema["type"] == "object" and schema["required"] == ["event_type"]
    assert set(schema["properties"]) == {"id", "timestamp", "event_type", "payload"}


@one
def test_fastapi_takes_and_gives_events():
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()

    @app.post("/one")
    async def of_body(event: Event = fastapi.Body()):
        return event.model_copy(update={"event_type": "SEEN"})

    @app.post("/two")
    async def of_model(envelope: Envelope) -> Envelope:
        return envelope

    client = testclient.TestClient(app)
    event = Event("T", {"k": 1})
    sent = event.model_dump(mode="json")
    answer = client.post("/one", json=sent).json()
    assert Event.model_validate(answer) == event.model_copy(update={"event_type": "SEEN"})
    assert client.post("/two", json={"event": sent}).json()["event"] == sent
    refused = client.post("/two", json={"event": {**sent, "id": "x"}})
    assert refused.status_code == 422 and "id" in refused.text
    assert "event_type" in json.dumps(client.get("/openapi.json").json())


def test_the_hook_of_pydantic_2(monkeypatch):
    """Against its documentation: a plain validator, and a serializer that is told the mode."""
    made = types.SimpleNamespace(
        no_info_plain_validator_function=lambda function, serialization: (function, serialization),
        plain_serializer_function_ser_schema=lambda function, info_arg: (function, info_arg))
    monkeypatch.setitem(sys.modules, "pydantic_core", types.SimpleNamespace(core_schema=made))
    monkeypatch.setitem(sys.modules, "pydantic_core.core_schema", made)
    validate, (dump, info_arg) = Paid.__get_pydantic_core_schema__(Paid, None)
    event = validate({"payload": {"n": 1}})
    assert type(event) is Paid and info_arg is True
    with pytest.raises(ValidationError):
        validate({"payload": 1})
    for mode in ("python", "json"):
        assert dump(event, types.SimpleNamespace(mode=mode)) == event.model_dump(mode=mode)
    schema = Paid.__get_pydantic_json_schema__(None, None)
    assert schema["title"] == "Paid" and schema["type"] == "object"


def test_nothing_of_pydantic_is_needed():
    """Importing the module imports neither of them."""
    import subprocess
    code = "import sys, necrostack.core.event as e; e.Event('T'); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
