"""The JSON of `citytotals-query print`, recomputed from the log by the public contract's words."""
import datetime
import json

from tests.lab.events import CATEGORIES, SECTORS, days, now_ms
from tests.lab.oracle import CITY_OFFSET, DAY, percent


def rfc3339(ms):
    moment = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def read_at_ms(totals):
    moment = datetime.datetime.fromisoformat(totals["as_of"]["read_at"].replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def headcount(baseline, current):
    return {"baseline": baseline, "current": current, "reduction": baseline - current,
            "reduction_percent": percent(baseline - current, baseline) or None}


def by_day(expected, key, until):
    """(rest of the field, amount) of every day up to `until`; of every day when it is None."""
    for field, amount in expected.hashes[key].items():
        if until is None or field[:10] <= until:
            yield field[11:], amount


def summed(expected, key, until):
    sums = {}
    for field, amount in by_day(expected, key, until):
        sums[field] = sums.get(field, 0) + amount
    return sums


def visitors(expected, now):
    today = (now + CITY_OFFSET) // DAY
    monday = today - (today + 3) % 7
    visits = {days(day): count for day, count in expected.hashes["visits:by-day"].items()}
    online = {visitor for day in (today - 1, today) for visitor, latest in expected.visitors[day].items()
              if now - latest < 300000}
    return {"online": len(online), "today": visits.get(today, 0),
            "this_week": sum(count for day, count in visits.items() if monday <= day <= today),
            "all": sum(visits.values()), "today_visitors": len(expected.visitors[today])}


def expected_totals(expected, version, read_at, date=None, lag=None):
    """Every field of the JSON, in the public order. `read_at` as printed: it decides today and online."""
    heads, units = summed(expected, "headcount:by-day", date), summed(expected, "units:by-day", date)
    sectors = {sector: headcount(heads.get(f"baseline:{sector}", 0), heads.get(f"current:{sector}", 0)) for sector in SECTORS}
    city = headcount(*(sum(each[name] for each in sectors.values()) for name in ("baseline", "current")))
    today = (datetime.datetime(1970, 1, 1) + datetime.timedelta(days=(read_at + CITY_OFFSET) // DAY)).date().isoformat()
    later = sum(amount for field, amount in expected.hashes["headcount:by-day"].items()
                if field[:10] > today and ":current:" in field)

    def category(name):
        known = units.get(f"baselines:{name}", 0) > 0
        baseline, change = units.get(f"baseline:{name}", 0), units.get(f"change:{name}", 0)
        return {"baseline": baseline if known else None, "current": baseline + change if known else None, "change": change,
                "merged": units.get(f"merged:{name}", 0), "mergers": units.get(f"mergers:{name}", 0)}
    pairs = sorted(pair.split("/") for pair, count in summed(expected, "pilots:by-day", date).items() if count > 0)
    live = date is None
    return {
        "city": expected.city,
        "as_of": {"version": version, "updated_at": rfc3339(expected.updated_ms) if expected.updated_ms else None,
                  "read_at": rfc3339(read_at), "date": date, "lag": lag, "stale": False},
        "headcount": {**city, "target_percent": "10", "target_date": "2021-12-31",
                      "target_met": city["baseline"] > 0 and city["reduction"] * 10 >= city["baseline"],
                      "effective_later": later if live else None, "by_sector": sectors},
        "units": {name: category(name) for name in CATEGORIES},
        "pilots": {"models": len({model for model, _ in pairs}), "districts": len({district for _, district in pairs}),
                   "pairs": [{"model": model, "district": district} for model, district in pairs]},
        "visitors": visitors(expected, read_at) if live else None,
        "events": expected.totals["events"] if live else None,
        "dead_letters": expected.totals["dead_letters"] if live else None}


def expect_print_exact(city, expected, *flags, date=None, lag=None):
    """What is printed equals the recomputation, to the byte. Returns the totals."""
    done = city.query("--format", "json", *flags, *(["--as-of", date] if date else []))
    assert done.stdout.count("\n") == 1 and done.stdout.endswith("\n")
    totals = json.loads(done.stdout)
    read_at = read_at_ms(totals)
    assert abs(read_at - now_ms()) < 60000
    version = int(city.total("version") or 0)
    assert done.stdout == json.dumps(expected_totals(expected, version, read_at, date, lag), separators=(",", ":")) + "\n"
    return totals
