"""What a city's agencies send on a busy day: new events, repeats, conflicts, reversals, page visits and poison, by a seed."""
import os
import random
import threading
import time

from tests.lab import events as e
from tests.lab.kafka import flushed

BLOCK = 40


def seed_of_run():
    """CITYTOTALS_SEED repeats a run's choices; printed, so that a failure shows it."""
    seed = int(os.environ.get("CITYTOTALS_SEED") or random.SystemRandom().randrange(1 << 31))
    print(f"repeat with CITYTOTALS_SEED={seed}")
    return seed


def given_records(city, seed, count, **mix):
    """`count` records of a mix are in the city's topics."""
    made = Mix(random.Random(seed), **mix)
    for _ in range(count):
        type_, value, key = made.record()
        city.given_value(type_, value, key)
    flushed(city.producer)


class Mix:
    """Makes one record after another: (type, value, key)."""

    def __init__(self, random_, agencies=12, conflicts=True, poison=True, visits=True, returning=True):
        self.random, self.agencies = random_, [f"agency-{number}" for number in range(agencies)]
        self.conflicts, self.poison, self.visits, self.returning = conflicts, poison, visits, returning
        self.sent, self.visitors, self.count = [], [], 0

    def new_event(self):
        self.count += 1
        choose = self.random
        agency, id_ = choose.choice(self.agencies), f"id-{self.count}"
        date = f"{choose.randint(2015, 2021)}-{choose.randint(1, 12):02d}-{choose.randint(1, 28):02d}"
        if choose.random() < 0.7:
            reason = choose.choice(("baseline", "recruited", "retired", "streamlined", "correction"))
            delta = choose.randint(1, 500) * (-1 if reason in ("retired", "streamlined") else 1)
            return e.headcount(id_, agency, delta, reason, choose.choice(e.SECTORS), date)
        before, category = choose.randint(2, 60), choose.choice(e.CATEGORIES)
        kind = choose.choice(("baseline", "merger", "establishment"))
        if kind == "baseline":
            return e.merger(id_, agency, category, kind, 0, before, date)
        if kind == "establishment":
            return e.merger(id_, agency, category, kind, before, before + 3, date)
        pilot = {"pilot_model": f"model-{choose.randint(1, 4)}", "district": "hong-bang"} if choose.random() < 0.3 else {}
        return e.merger(id_, agency, category, kind, before, before - 1, date, **pilot)

    def bad_value(self, event):
        """Each kind of poison."""
        good = e.wire(event)
        return self.random.choice((None, b"", b"x" + good, good[:2] + bytes(8) + good[10:], good[:-1], good + b"!",
                                   e.wire({**event, "effective_date": e.days("1999-12-31")}),
                                   e.wire({**event, "occurred_at": e.now_ms() + 30 * 3600000})))

    def record(self):
        choose, draw = self.random, self.random.random()
        if self.visits and draw < 0.2:
            back = self.returning and self.visitors and choose.random() < 0.6
            visitor = choose.choice(self.visitors) if back else f"visitor-{len(self.visitors)}"
            if not back:
                self.visitors.append(visitor)
            bad = self.poison and choose.random() < 0.03
            event = e.visit(visitor, e.now_ms() - (26 * 3600000 if bad else choose.randint(0, 6 * 3600000)))
            return event["type"], e.wire(event), e.key(event)
        event = self.new_event()
        if draw < 0.4 and self.sent:
            old = choose.choice(self.sent)
            event = {**old, "occurred_at": e.now_ms()}
            if self.conflicts and draw < 0.24:
                event["decision"] = f"{choose.randint(1, 9999)}/QD"
        elif draw < 0.44 and self.sent:
            event = e.reversal(choose.choice(self.sent))
        elif self.poison and draw < 0.48:
            return event["type"], self.bad_value(event), e.key(event)
        elif event["type"] == "headcount-change" or event["kind"] != "correction":
            self.sent.append(event)
        return event["type"], e.wire(event), e.key(event)


class Traffic:
    """Records that keep coming from a thread of its own: `with city.traffic() as traffic: …`."""

    def __init__(self, city, seed, per_second=2000, scatter=False, **mix):
        self.city, self.per_second, self.scatter = city, per_second, scatter
        self.random = random.Random(seed)
        self.mix = Mix(self.random, **mix)
        self.records, self.failure = 0, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def given(self, count):
        """So many, written before this returns."""
        self.send(count)
        flushed(self.city.producer, 120)

    def send(self, count):
        for _ in range(count):
            type_, value, key = self.mix.record()
            partition = self.random.randrange(self.city.partitions) if self.scatter and type_ != "page-visit" else -1
            self.city.given_value(type_, value, key, partition)
        self.records += count
        self.city.producer.poll(0)

    def _run(self):
        started = time.monotonic()
        try:
            while not self.stopping.is_set():
                self.send(BLOCK)
                self.stopping.wait(max(0.0, self.records / self.per_second - (time.monotonic() - started)))
        except Exception as failure:  # told by stop()
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.thread.join(120)
        if self.failure:
            raise self.failure
        flushed(self.city.producer, 120)

    def __exit__(self, kind, *rest):
        if kind:
            self.stopping.set()
            self.thread.join(120)
        else:
            self.stop()
