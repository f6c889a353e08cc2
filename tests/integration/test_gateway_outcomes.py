"""What became of an event, asked over HTTP: every status, whose it is, pages of refused ones, and Redis being away."""
import time
import uuid

import pytest

from tests.integration.test_gateway_trouble import standing_still
from tests.lab import events as e
from tests.lab.gateway import DESCRIPTION, Gateway, event, event_id, new_token, seen_answers
from tests.lab.kafka import flushed
from tests.lab.oracle import DAY
from tests.lab.process import wait_until

OF_THE_SAME_LANE = "phuong-29"  # as hong-bang


@pytest.fixture
def gateway(city):
    return Gateway(city)


def outcome(gateway, id_, status=200, token="", **query):
    """Of an event of hong-bang, by the id that its sender gave it, or by its event id."""
    asked = id_ if len(id_) == 36 else event_id(id_)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = gateway.ask("GET", f"/v1/events/{asked}" + ("?" + text if text else ""), token=token)
    assert answer.status == status, answer
    if status == 200:
        assert answer.json["event_id"] == asked and answer.headers["Cache-Control"] == "no-store"
    return answer.json


def place(record):
    return {name: record[name] for name in ("topic", "partition", "offset")}


def sent(gateway, *events, **options):
    """Places of events that were acknowledged."""
    answer = gateway.post(list(events), **options)
    assert answer.status == 200, answer
    return [place(record) for record in answer.json["records"]]


def refused(gateway, status=200, token="", **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = gateway.ask("GET", "/v1/refused" + ("?" + text if text else ""), token=token)
    assert answer.status == status, answer
    return answer.json


def test_pending_then_counted_then_a_duplicate(city, gateway):
    [first] = sent(gateway, event("a"))
    assert outcome(gateway, "a") == {"event_id": event_id("a"), "status": "pending"} == outcome(gateway, "a", **first)
    city.fold()
    counted = {"event_id": event_id("a"), "status": "counted", "type": "headcount-change", "agency": "hong-bang", "counts": True}
    assert outcome(gateway, "a") == counted == outcome(gateway, "a", **first)
    [second] = sent(gateway, event("a"))
    assert outcome(gateway, "a") == counted, "the event counts, whatever is still to come"
    assert outcome(gateway, "a", **second)["status"] == "pending", "that record is not looked at yet"
    city.fold()
    assert outcome(gateway, "a") == outcome(gateway, "a", **second) == {**counted, "status": "duplicate", **second}
    assert outcome(gateway, "a", **first) == counted
    [merger] = sent(gateway, {"type": "unit-merger", "id": "a", "category": "commune", "kind": "merger", "units_before": 9, "units_after": 3,
                              "effective_date": "2020-01-01"})
    city.fold()
    id_ = str(uuid.UUID(bytes=e.event_id("unit-merger", "so-noi-vu", "hong-bang", "a")))
    assert outcome(gateway, id_, **merger) == {**counted, "event_id": id_, "type": "unit-merger"}
    outcome(gateway, "z", 404)
    sent(gateway, event("z"))
    assert outcome(gateway, "z")["status"] == "pending"
    city.fold()
    assert outcome(gateway, "z")["status"] == "counted", "what was searched in vain is searched on"


def test_a_conflict_and_a_record_that_breaks_a_rule(city, gateway):
    [first] = sent(gateway, event("a", -3))
    [second] = sent(gateway, event("a", -4))
    assert outcome(gateway, "a")["status"] == "pending"
    city.fold()
    said = outcome(gateway, "a")
    assert said == outcome(gateway, "a", **second)
    assert {**said, "acknowledged_at": ""} == {
        "event_id": event_id("a"), "status": "conflict", "counts": True, "type": "headcount-change", "agency": "hong-bang",
        "source": "so-noi-vu", "reason": "conflict", "acknowledged_at": "", **second,
        "detail": "another event with this type, agency and event id was counted before, with another meaning"}
    assert outcome(gateway, "a", **first)["status"] == "counted", "the first of the two stays"
    # Another program writes what the gateway would not take.
    late = e.headcount("late", "hong-bang", 5, source="so-noi-vu", occurred_at=int(time.time() * 1000) + 3 * DAY)
    city.given_events(late)
    city.fold()
    said = outcome(gateway, event_id("late"))
    assert (said["status"], said["reason"], said["counts"]) == ("dead_letter", "out_of_window", False)
    assert said["detail"].startswith("occurred_at is ") and "allowed: " in said["detail"]
    # A dead letter takes no id: the same event may come again, and counts then.
    sent(gateway, event("late", 5))
    city.fold()
    assert outcome(gateway, "late")["status"] == "counted"
    assert outcome(gateway, "late", **place(said))["status"] == "dead_letter", "that record stays what it was"


def test_whose_event_it_is(city, gateway):
    (other, first), (both, second) = new_token(agency="kien-an"), new_token(agency="kien-an,hong-bang")
    gateway.write_tokens(first, second)
    wait_until("the tokens are known", lambda: gateway.ask("GET", "/v1/refused", token=both).status == 200, 30)
    sent(gateway, event("a", -3), event("b"))
    sent(gateway, event("a", -4))
    city.fold()
    for id_, status in (("a", "conflict"), ("b", "counted")):
        assert outcome(gateway, id_)["status"] == outcome(gateway, id_, token=both)["status"] == status
        assert "agency" not in outcome(gateway, id_, 404, token=other) and "no such event" in outcome(gateway, id_, 404, token=other)["detail"]
        assert outcome(gateway, id_, 404, token=both, agency="kien-an")["status"] == 404
        assert "does not speak for" in outcome(gateway, id_, 403, token=other, agency="hong-bang")["detail"]
        assert "agency" in outcome(gateway, id_, 400, token=gateway.wide)["detail"]
        assert outcome(gateway, id_, token=gateway.wide, agency="hong-bang")["status"] == status
        outcome(gateway, id_, 401, token=None)
        outcome(gateway, id_, 401, token="ct_unknown")
    assert len(refused(gateway)["refused"]) == len(refused(gateway, token=both)["refused"]) == len(
        refused(gateway, token=gateway.wide)["refused"]) == 1
    assert refused(gateway, token=other) == refused(gateway, token=both, agency="kien-an") == {"refused": [], "next": None}
    refused(gateway, 403, token=other, agency="hong-bang")
    refused(gateway, 401, token=None)


def test_questions_that_make_no_sense(city, gateway):
    [first] = sent(gateway, event("a"))
    city.fold()
    assert outcome(gateway, "never-sent", 404)["status"] == 404
    assert outcome(gateway, "never-sent", 404, **first)["status"] == 404, "another record lies there"
    assert outcome(gateway, "never-sent", 200, **{**first, "offset": 7})["status"] == "pending"
    for path in ("nonsense", event_id("a")[:-1], event_id("a") + "0", event_id("a").replace("-", "_")):
        assert gateway.ask("GET", f"/v1/events/{path}").status == 400, path
    for wrong in ({"offset": 0}, {"topic": first["topic"]}, {**first, "topic": "elsewhere.headcount-changes"}, {**first, "partition": -1},
                  {**first, "topic": city.topic("page-visit")}, {**first, "offset": "1e3"}, {**first, "partition": 2 ** 31}, {"colour": 1}):
        outcome(gateway, "a", 400, **wrong)
    for wrong in ({"limit": 0}, {"limit": 501}, {"limit": "x"}, {"before": "64-1-1"}, {"before": "1-1"}, {"before": ""}, {"before": "1-1-1-1"},
                  {"before": "-1-1-1"}, {"offset": 1}):
        refused(gateway, 400, **wrong)
    assert gateway.ask("POST", f"/v1/events/{event_id('a')}").status == 405
    assert gateway.ask("GET", "/v1/events/").status == 404


def test_pages_of_refused_events(city, gateway):
    sent(gateway, *[event(f"e{i}") for i in range(7)])
    sent(gateway, *[event(f"e{i}", -4) for i in range(7)])
    sent(gateway, event("x", agency="kien-an"), token=gateway.wide)
    sent(gateway, event("x", -4, agency="kien-an"), token=gateway.wide)
    sent(gateway, event("x", agency=OF_THE_SAME_LANE), token=gateway.wide)
    sent(gateway, event("x", -4, agency=OF_THE_SAME_LANE), token=gateway.wide)
    city.given_value("headcount-change", b"poison", b"hong-bang")
    city.given_value("headcount-change", b"poison", b"Not an id")
    flushed(city.producer)
    city.fold()
    everything = refused(gateway)
    assert len(everything["refused"]) == 8 and everything["next"] is None
    [poison] = [entry for entry in everything["refused"] if entry["event_id"] is None]
    assert (poison["status"], poison["reason"], poison["source"], poison["agency"]) == ("dead_letter", "bad_framing", None, "hong-bang")
    assert {entry["event_id"] for entry in everything["refused"]} == {event_id(f"e{i}") for i in range(7)} | {None}
    assert {entry["agency"] for entry in everything["refused"]} == {"hong-bang"}
    offsets = [entry["offset"] for entry in everything["refused"]]
    assert offsets == sorted(offsets, reverse=True), "newest first"
    got, before = [], {}
    while page := refused(gateway, limit=3, **before):
        assert len(page["refused"]) <= 3
        got += page["refused"]
        if not page["next"]:
            break
        before = {"before": page["next"]}
    assert got == everything["refused"]
    every = refused(gateway, token=gateway.wide)["refused"]
    assert len(every) == 10 and {entry["agency"] for entry in every} == {"hong-bang", "kien-an", OF_THE_SAME_LANE}
    assert len(city.redis.client.keys(city.key("refused:*"))) == 2, "two of the three share a stream"
    assert [entry for entry in every if entry["agency"] == "hong-bang"] == everything["refused"]
    assert len(refused(gateway, token=gateway.wide, agency="kien-an")["refused"]) == 1


def test_an_event_is_found_wherever_it_stands_in_a_long_lane(city, gateway):
    sent(gateway, event("first"))
    city.fold()
    [lane] = city.redis.client.keys(city.key("seen:*"))
    city.redis.client.append(lane, "filler-filler-filler-fil" * 40000)
    sent(gateway, event("last"))
    assert outcome(gateway, "first")["status"] == "counted"
    assert outcome(gateway, "last")["status"] == "pending"
    city.redis.client.config_resetstat()
    assert outcome(gateway, "last")["status"] == "pending"
    asked = city.redis.client.info("commandstats")
    assert "cmdstat_strlen" in asked and "cmdstat_getrange" not in asked, "what was searched in vain is not read again"


def test_a_state_that_was_begun_anew(city, gateway):
    [first] = sent(gateway, event("a"))
    city.fold()
    assert outcome(gateway, "a")["status"] == "counted"
    outcome(gateway, "b", 404)
    city.forget()
    assert outcome(gateway, "a")["status"] == outcome(gateway, "a", **first)["status"] == "pending"
    sent(gateway, event("b"))
    city.fold()
    assert outcome(gateway, "a")["status"] == outcome(gateway, "b")["status"] == "counted"


def test_a_redis_user_who_may_only_read_is_enough(city):
    city.redis.client.execute_command("ACL", "SETUSER", "asks", "on", ">p@ss", f"~{{{city.name}}}:*", "+@read")
    gateway = Gateway(city, redis_url=f"redis://asks:p%40ss@127.0.0.1:{city.redis.port}")
    sent(gateway, event("a"), event("b"))
    sent(gateway, event("a", -4), event("b"))
    city.fold()
    assert (outcome(gateway, "a")["status"], outcome(gateway, "b")["status"]) == ("conflict", "duplicate")
    assert len(refused(gateway)["refused"]) == 1


def test_while_kafka_does_not_answer_what_redis_has_is_told(city, kafka, gateway):
    [first] = sent(gateway, event("a"))
    city.fold()
    with standing_still(kafka):
        assert outcome(gateway, "a")["status"] == "counted"
        assert outcome(gateway, "b", **{**first, "offset": 9})["status"] == "pending", "with its place Kafka is not needed"
        assert refused(gateway)["refused"] == []
        for _ in range(2):
            assert "kafka" in outcome(gateway, "b", 503)["detail"] or "logs" in outcome(gateway, "b", 503)["detail"]
    wait_until("Kafka is asked again", lambda: gateway.ask("GET", f"/v1/events/{event_id('b')}").status == 404, 60)


def test_questions_count_for_a_tokens_rate(city):
    token, line = new_token(rate=1)
    gateway = Gateway(city, tokens=[line])
    statuses = [gateway.ask("GET", f"/v1/events/{event_id('a')}", token=token).status for _ in range(5)]
    assert 429 in statuses and statuses[0] == 404
    refused(gateway, 429, token=token)


def test_without_redis_questions_wait_and_events_are_taken(new_city, own_redis):
    city = new_city(redis=own_redis)
    slow, line = new_token(rate=1)
    gateway = Gateway(city, tokens=[line])
    sent(gateway, event("a"))
    city.fold()
    assert outcome(gateway, "a")["status"] == "counted"
    own_redis.kill()
    for _ in range(3):
        said = outcome(gateway, "a", 503)
        assert "can't be told now: connect to redis" in said["detail"] and "events are taken all the same" in said["detail"]
    refused(gateway, 503)
    sent(gateway, event("b"))
    own_redis.start()
    wait_until("Redis is asked again", lambda: gateway.ask("GET", f"/v1/events/{event_id('a')}").status == 200, 30)
    assert outcome(gateway, "a")["status"] == "counted"
    assert gateway.metric("gateway_questions_total") >= 6
    for path in (f"/v1/events/{event_id('b')}", "/v1/refused"):
        assert gateway.ask("GET", path + "?agency=kien-an").status == 403 and gateway.ask("GET", path, token=None).status == 401
        assert 429 in [gateway.ask("GET", path, token=slow).status for _ in range(3)]
    assert gateway.ask("GET", "/v1/events/nonsense").status == 400
    refused(gateway, 400, limit=0)
    city.fold()
    outcome(gateway, "never-sent", 404)
    refused(gateway)
    described = {("GET", path, int(status)) for path in ("/v1/events/{event_id}", "/v1/refused")
                 for status in DESCRIPTION["paths"][path]["get"]["responses"]}
    assert described <= seen_answers, f"never met: {described - seen_answers}"
