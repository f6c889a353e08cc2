"""What citytotals-query print shows equals the log, whatever the city went through, and says so when it can't know."""
import datetime
import json
import random
import re
import subprocess
import time

import pytest

from tests.lab import events as e
from tests.lab.oracle import CITY_OFFSET, DAY, Expected
from tests.lab.process import free_ports, wait_until
from tests.lab.redis_server import RedisServer
from tests.lab.totals import expect_print_exact, read_at_ms


def printed(city, *flags, **options):
    return json.loads(city.query("--format", "json", *flags, **options).stdout)


def folded(city, *events):
    city.given_events(*events)
    city.fold()
    return Expected(city.kafka.bootstrap, city.name)


def today_in_city(days=0):
    day = (e.now_ms() + CITY_OFFSET) // DAY + days
    return e.day_text(day)


def a_year_of_everything(seed):
    """Events of every kind on many days, with repeats, reversals (some before their originals) and negative agencies."""
    dice = random.Random(seed)
    agencies = ["hong-bang", "so-noi-vu", "an-lao", "kien-an", "do-son"]
    events = []
    for number in range(240):
        agency, day = dice.choice(agencies), e.day_text(e.days("2019-12-25") + dice.randrange(400))
        sector, id_ = dice.choice(e.SECTORS), f"h{number}"
        delta = dice.choice([-1, 1]) * dice.randrange(1, 5000)
        reason = "baseline" if number % 9 == 0 else "correction"
        events.append(e.headcount(id_, agency, abs(delta) if reason == "baseline" else delta, reason, sector, date=day))
    for number in range(120):
        agency, day = dice.choice(agencies), e.day_text(e.days("2019-12-25") + dice.randrange(400))
        category = dice.choice(e.CATEGORIES[:4])
        kind, before, after = dice.choice([("merger", dice.randrange(4, 9), dice.randrange(1, 4)), ("baseline", 0, 30),
                                           ("dissolution", 3, 1), ("establishment", 1, 4), ("rearrangement", 20, 18)])
        pilot = {"pilot_model": dice.choice(["m-1", "m-2", "m-1-b"]), "district": dice.choice(["an-lao", "kien-an", "do-son"])}
        events.append(e.merger(f"m{number}", agency, category, kind, before, after, date=day,
                               **(pilot if number % 3 == 0 and kind != "baseline" else {})))
    events += [e.reversal(event) for event in dice.sample(events, 90)]
    dice.shuffle(events)
    return events + dice.sample(events, 40)


# --- exact ---

def test_every_field_equals_an_independent_recomputation(city):
    city.given_events(*a_year_of_everything(seed=1), *[e.visit(f"visitor {number % 30}") for number in range(60)],
                      e.visit("earlier", e.now_ms() - 3600000), e.visit("earlier", e.now_ms() - 60000))
    city.given_events(e.headcount("clash", "an-lao", 7), {**e.headcount("clash", "an-lao", 7), "delta": 8})
    city.given_value("headcount-change", b"poison")
    expected = folded(city)
    totals = expect_print_exact(city, expected, "-b", city.kafka.bootstrap, lag=0)
    assert totals["visitors"]["today_visitors"] >= 30 and totals["visitors"]["online"] == 31
    assert totals["dead_letters"] == 2 and totals["events"] > 400 and totals["pilots"]["pairs"]
    assert totals["headcount"]["reduction_percent"]


def test_as_of_equals_a_recomputation_on_every_tenth_day(city):
    expected = folded(city, *a_year_of_everything(seed=2), e.visit("somebody"))
    first = e.days("2019-12-20")
    seen = set()
    for day in range(first, first + 420, 10):
        totals = expect_print_exact(city, expected, date=e.day_text(day))
        seen.add(json.dumps([totals["headcount"], totals["units"], totals["pilots"]]))
    assert len(seen) > 35  # the days differ
    before = printed(city, "--as-of", "2000-01-01")
    assert before["headcount"]["baseline"] == before["units"]["city_agency"]["change"] == 0
    assert before["visitors"] is before["events"] is before["dead_letters"] is before["headcount"]["effective_later"] is None
    after, live = printed(city, "--as-of", "2099-12-31"), printed(city)
    assert after["pilots"] == live["pilots"] and after["units"] == live["units"]
    assert after["headcount"] == {**live["headcount"], "effective_later": None}


def test_an_empty_city_gives_zeros(city):
    expected = Expected(city.kafka.bootstrap, city.name)
    totals = expect_print_exact(city, expected)
    assert totals["as_of"]["version"] == 0 and totals["as_of"]["updated_at"] is None
    expect_print_exact(city, expected, "-b", city.kafka.bootstrap, date="2020-10-30", lag=0)
    assert "Chưa có số liệu" in city.query().stdout
    assert "No data yet" in city.query("--lang", "en").stdout


def test_an_agency_may_be_negative(city):
    expected = folded(city, e.headcount("b", "an-lao", 100, "baseline", date="2015-01-01"),
                      e.headcount("1", "kien-an", -7, sector="commune"))
    totals = expect_print_exact(city, expected)
    assert totals["headcount"]["by_sector"]["commune"] == {"baseline": 0, "current": -7, "reduction": 7,
                                                           "reduction_percent": None}
    assert totals["headcount"]["reduction_percent"] == "7.0000"


def test_without_a_baseline_there_is_no_percentage(city):
    totals = expect_print_exact(city, folded(city, e.headcount("1", "an-lao", -5), e.merger("1", "an-lao", "commune", "merger", 3, 1)))
    assert totals["headcount"]["reduction_percent"] is None and totals["headcount"]["target_met"] is False
    assert totals["units"]["commune"] == {"baseline": None, "current": None, "change": -2, "merged": 3, "mergers": 1}
    assert "chưa tính được tỷ lệ giảm" in city.query().stdout


def test_reversed_baseline(city):
    heads = e.headcount("b", "an-lao", 100, "baseline", date="2015-01-01")
    units = e.merger("b", "an-lao", "commune", "baseline", 0, 223, date="2015-01-01")
    more = e.merger("c", "an-lao", "commune", "baseline", 0, 10, date="2015-01-01")
    totals = expect_print_exact(city, folded(city, heads, units, more, e.reversal(units)))
    assert totals["units"]["commune"]["baseline"] == 10
    totals = expect_print_exact(city, folded(city, e.reversal(heads), e.reversal(more)))
    assert totals["headcount"]["reduction_percent"] is None
    assert totals["units"]["commune"]["baseline"] is None


@pytest.mark.parametrize("baseline, delta, expected", [
    (2000000, -1, "0.0001"), (2000000, 1, "-0.0001"), (2000000, -12349, "0.6175"), (2000000, 12349, "-0.6175"),
    (1999999, 1, "-0.0001")])
def test_percentages_round_half_away_from_zero(new_city, baseline, delta, expected):
    city = new_city()
    parts = [baseline // 2, baseline - baseline // 2]
    recomputed = folded(city, *[e.headcount(f"b{i}", "an-lao", part, "baseline") for i, part in enumerate(parts)],
                        e.headcount("1", "an-lao", delta, "correction"))
    assert expect_print_exact(city, recomputed)["headcount"]["reduction_percent"] == expected


def test_the_goal_is_not_met_by_rounding(city):
    recomputed = folded(city, *[e.headcount(f"b{i}", "an-lao", 1000000, "baseline") for i in range(10)],
                        e.headcount("1", "an-lao", -999999, "correction"))
    totals = expect_print_exact(city, recomputed)
    assert totals["headcount"]["reduction_percent"] == "10.0000" and totals["headcount"]["target_met"] is False
    totals = expect_print_exact(city, folded(city, e.headcount("2", "an-lao", -1, "correction")))
    assert totals["headcount"]["target_met"] is True
    assert "Đã đạt mục tiêu" in city.query().stdout


def test_effective_later_goes_by_the_citys_today(city):
    events = [e.headcount(f"{days}", "an-lao", amount, "correction", date=today_in_city(days))
              for days, amount in ((-1, 1), (0, 10), (1, 100), (2, 1000), (400, -50))]
    totals = expect_print_exact(city, folded(city, *events))  # which knows today by read_at
    if today_in_city() == e.day_text((read_at_ms(totals) + CITY_OFFSET) // DAY):
        assert totals["headcount"]["effective_later"] in (1050, 950)  # the latter after a midnight
    assert totals["headcount"]["current"] == 1061
    assert "có hiệu lực sau hôm nay: +" in city.query().stdout


# --- lag ---

def test_lag_counts_what_waits_in_kafka(city):
    brokers = ("-b", city.kafka.bootstrap)
    folded(city, *[e.headcount(str(i), "an-lao", 1) for i in range(10)])
    assert printed(city)["as_of"]["lag"] is None
    assert printed(city, *brokers)["as_of"]["lag"] == 0
    city.given_events(*[e.headcount(f"new {i}", f"agency-{i}", 1) for i in range(25)], e.visit("a"), e.visit("b"),
                      *[e.merger(f"m{i}", f"agency-{i}", "commune", "merger", 3, 1) for i in range(5)])
    assert printed(city, *brokers)["as_of"]["lag"] == 32
    assert printed(city, *brokers, "--as-of", "2020-01-01")["as_of"]["lag"] == 32
    assert "32 bản ghi còn chờ trong Kafka" in city.query(*brokers).stdout
    city.fold()
    assert printed(city, *brokers)["as_of"]["lag"] == 0
    done = city.query(*brokers, "--lang", "en")
    assert "nothing waits in Kafka" in done.stdout and done.stderr == ""


def test_lag_counts_from_where_a_log_begins(city):
    city.given_events(e.headcount("0", "an-lao", 1), e.headcount("1", "an-lao", 1), partition=0)
    city.fold()
    for partition, type_ in ((0, "headcount-change"), (1, "unit-merger")):  # read in part, and never
        city.given_events(*[e.headcount(str(i), "an-lao", 1) if partition == 0 else
                            e.merger(str(i), "an-lao", "commune", "merger", 3, 1) for i in range(2, 12)], partition=partition)
        city.kafka.delete_records(city.topic(type_), partition, 6)
    assert printed(city, "-b", city.kafka.bootstrap)["as_of"]["lag"] == (12 - 6) + (10 - 6)


def test_lag_is_null_while_kafka_does_not_answer(city):
    folded(city, e.headcount("1", "an-lao", 1))
    begun = time.monotonic()
    done = city.query("--format", "json", "-b", f"127.0.0.1:{free_ports(1)[0]}")
    assert json.loads(done.stdout)["as_of"]["lag"] is None
    assert "the lag is not known" in done.stderr
    assert time.monotonic() - begun < 30


def test_lag_is_null_when_the_offsets_are_of_another_log(city):
    folded(city, e.headcount("1", "an-lao", 1))
    city.redis.client.hset(city.key("offsets"), f"{city.name}.unit-mergers/1", "5000")
    done = city.query("--format", "json", "-b", city.kafka.bootstrap)
    assert json.loads(done.stdout)["as_of"]["lag"] is None
    assert "beyond the log's end" in done.stderr and "unit-mergers/1" in done.stderr


def test_lag_is_null_when_a_topic_is_missing_and_makes_none(new_city):
    city = new_city(create=False)
    done = city.query("--format", "json", "-b", city.kafka.bootstrap)
    assert json.loads(done.stdout)["as_of"]["lag"] is None
    assert f"no topic {city.name}.headcount-changes" in done.stderr
    assert not any(name.startswith(city.name + ".") for name in city.kafka.admin.list_topics(timeout=10).topics)


# --- who may read, and what is refused ---

def test_a_user_that_may_only_read_is_enough(new_city, own_redis):
    city = new_city(redis=own_redis)
    expected = folded(city, e.headcount("1", "an-lao", 5))
    client = own_redis.client
    client.execute_command("ACL", "SETUSER", "reader", "on", ">p@ss", f"~{{{city.name}}}:*", "+@read", "+time", "+fcall_ro")
    url = f"redis://reader:p%40ss@127.0.0.1:{own_redis.port}"
    assert printed(city, redis_url=url)["headcount"]["current"] == 5
    client.function_flush()
    done = city.query(redis_url=url, status=1)
    assert "the read Functions of this version are not in Redis" in done.stderr
    assert expect_print_exact(city, expected)["events"] == 1  # another user loads them
    assert printed(city, redis_url=url)["headcount"]["current"] == 5
    client.execute_command("ACL", "SETUSER", "reader", "-@read")
    assert "rights are too narrow" in city.query(redis_url=url, status=1).stderr


def test_a_replica_is_enough(new_city, own_redis, directory):
    city = new_city(redis=own_redis)
    folded(city, e.headcount("1", "an-lao", 5))
    replica = RedisServer(directory / "redis-replica", replicaof=f"127.0.0.1 {own_redis.port}", appendonly="no")
    try:
        replica.start()
        wait_until("the replica is in step", lambda: replica.client.info("replication")["master_link_status"] == "up")
        assert printed(city, redis_url=replica.url)["headcount"]["current"] == 5
    finally:
        replica.stop()


def test_wrong_password(new_city, directory):
    server = RedisServer(directory / "redis-with-password", requirepass="secret")
    try:
        city = new_city(redis=server.start())
        assert printed(city)["events"] == 0
        for url in (f"redis://:wrong@127.0.0.1:{server.port}", f"redis://127.0.0.1:{server.port}"):
            done = city.query(redis_url=url, status=1)
            assert "redis refuses" in done.stderr and "wrong" not in done.stderr.replace("WRONGPASS", "") and not done.stdout
    finally:
        server.stop()


def test_redis_away_at_the_start(city):
    url = f"redis://127.0.0.1:{free_ports(1)[0]}"
    for flags in ([], ["--watch"]):
        done = city.query(*flags, redis_url=url, status=1)
        assert "connect to redis at 127.0.0.1" in done.stderr and not done.stdout


@pytest.mark.parametrize("flags, sentence", [
    (["--as-of", "2020-02-30"], "YYYY-MM-DD"), (["--as-of", "30/10/2020"], "YYYY-MM-DD"), (["--lang", "fr"], "vi, en"),
    (["--format", "xml"], "text, json"), (["--interval", "5"], "ms, s, min or h"), (["--interval", "1ms"], "from 100"),
    (["--colour"], "unknown option"), (["extra"], "takes none"), (["--city", "Hải Phòng"], "a-z"), (["--as-of"], "needs a value"),
    (["--redis", "http://x"], "redis://"), (["-b", "127.0.0.1:1", "-X", "no.such=1"], "no.such"),
    (["-b", "127.0.0.1:1", "-X", "isolation.level=read_uncommitted"], "isolation.level")])
def test_wrong_usage(new_city, flags, sentence):
    done = new_city(create=False).query(*flags, status=2)
    assert sentence in done.stderr and not done.stdout


@pytest.mark.parametrize("suffix, field, value, flags", [
    ("totals", "headcount_current", "many", []), ("totals", "visits", "1.5", []), ("totals", "dead_letters", "", []),
    ("totals", "updated_at", "now", []), ("pilots", "no-slash", "1", []),
    ("headcount:by-day", "2020-01-01:current:nowhere", "1", []), ("units:by-day", "2020-01-01:change:commune", "x", ["--as-of", "2020-06-01"]),
    ("pilots:by-day", "2020-01-01:a/b", "9e3", ["--as-of", "2020-06-01"]), ("visits:by-day", None, "?", [])])
def test_a_corrupted_field_is_named(new_city, suffix, field, value, flags):
    city = new_city(create=False)
    field = field or today_in_city()
    city.redis.client.hset(city.key(suffix), field, value)
    done = city.query(*flags, status=1)
    assert f"key {city.key(suffix)} field {field} holds \"{value}\"" in done.stderr and not done.stdout


def test_a_key_of_another_kind_is_named(new_city):
    city = new_city(create=False)
    city.redis.client.set(city.key("pilots"), "text")
    assert f"key {city.key('pilots')}: WRONGTYPE" in city.query(status=1).stderr


def test_an_output_that_is_full_is_an_error(new_city):
    command = new_city(create=False).query_command()
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "write the totals" in done.stderr


# --- text ---

def test_one_shot_on_a_terminal_has_colour(city, terminal):
    screen = terminal(city.query_command())
    assert screen.wait() == 0
    assert b"\x1b[1m" in screen.seen and b"\x1b[?" not in screen.seen
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = terminal(city.query_command(), **environment)
        assert plain.wait() == 0 and b"\x1b" not in plain.seen and "Chưa có số liệu".encode() in plain.seen


def test_text_is_at_most_80_columns(city):
    folded(city, *a_year_of_everything(seed=3), e.visit("somebody"))
    for flags in ([], ["--lang", "en"], ["--as-of", "2020-06-30"], ["-b", city.kafka.bootstrap]):
        text = city.query(*flags).stdout
        assert max(len(line) for line in text.splitlines()) <= 80  # precomposed letters: one column each
        assert "\x1b" not in text
    assert re.search(r"In effect by the end of 2020-06-30", city.query("--lang", "en", "--as-of", "2020-06-30").stdout)


def test_dates_are_of_the_city(city):
    """Seven hours are between the city's day and UTC's: the text's times are the city's."""
    totals = expect_print_exact(city, folded(city, e.headcount("1", "an-lao", 1)))
    moment = datetime.datetime.fromisoformat(totals["as_of"]["updated_at"].replace("Z", "+00:00"))
    local = moment.astimezone(datetime.timezone(datetime.timedelta(hours=7)))
    assert local.strftime("Cập nhật %H:%M:%S %d/%m/%Y") in city.query().stdout
    assert local.strftime("Updated %Y-%m-%d %H:%M:%S") in city.query("--lang", "en").stdout
