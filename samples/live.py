#!/usr/bin/env python3
"""An endless stream of made-up agency events and page visits as NDJSON, about ten a second; nothing in it is real."""
import argparse
import datetime
import json
import random
import secrets
import sys
import time

AGENCIES = {"hong-bang": "administrative", "kien-an": "administrative", "so-noi-vu": "administrative",
            "so-giao-duc-va-dao-tao": "public_service", "so-y-te": "public_service", "an-duong": "commune",
            "an-lao": "commune", "duong-kinh": "commune", "kien-thuy": "commune"}
LOSSES, GAINS = ("streamlined", "retired", "resigned", "transferred_out"), ("recruited", "transferred_in")


def organisational(run, number):
    now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=7)))
    agency = random.choice(list(AGENCIES))
    event = {"id": f"made-up-{run}-{number}", "source": "demo", "agency": agency, "effective_date": now.date().isoformat(),
             "decision": "made up by the demo"}
    if random.random() < 0.12:
        before = random.randint(2, 5)
        return {"type": "unit-merger", **event, "category": random.choice(("district_division", "public_service_unit", "commune")),
                "kind": "merger", "units_before": before, "units_after": random.randint(1, before - 1)}
    loss = random.random() < 0.75
    return {"type": "headcount-change", **event, "sector": AGENCIES[agency], "reason": random.choice(LOSSES if loss else GAINS),
            "delta": random.randint(1, 6) * (-1 if loss else 1)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=0, help="stop after so many (0: never)")
    options.add_argument("--pause", type=float, default=0.1, help="mean seconds between two")
    options = options.parse_args()
    run, visitors, number = secrets.token_hex(4), [secrets.token_hex(16) for _ in range(40)], 0
    try:
        while not options.count or number < options.count:
            number += 1
            if random.random() < 0.3:
                event = organisational(run, number)
            else:
                if random.random() < 0.2:
                    visitors[random.randrange(len(visitors))] = secrets.token_hex(16)
                event = {"type": "page-visit", "visitor": random.choice(visitors)}
            print(json.dumps(event, ensure_ascii=False), flush=True)
            time.sleep(random.expovariate(1 / options.pause) if options.pause else 0)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()


if __name__ == "__main__":
    main()
