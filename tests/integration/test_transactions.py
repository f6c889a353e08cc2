"""A foreign producer with transactions: only what is committed counts, and the markers at a log's end do not hang anything."""
from tests.lab import events as e
from tests.lab.process import wait_until


def transactional(kafka, name):
    producer = kafka.producer(**{"transactional.id": name})
    producer.init_transactions(60)
    return producer


def write(producer, city, *events):
    for event in events:
        producer.produce(city.topic(event["type"]), value=e.wire(event), key=e.key(event))


def test_committed_transactions_count_and_aborted_do_not(city, kafka):
    producer = transactional(kafka, city.name)
    for number in range(6):
        producer.begin_transaction()
        write(producer, city, e.headcount(f"{number}", "hong-bang", 10), e.merger(f"{number}", "hong-bang", "commune", "merger", 5, 4))
        producer.flush(60)  # an abort drops what has not gone yet, and Kafka refuses to end what it knows nothing of
        producer.abort_transaction(60) if number % 2 else producer.commit_transaction(60)
    city.fold()
    city.expect_exact()
    assert city.total("headcount_current") == "30"


def test_until_end_passes_markers_at_the_end(city, kafka):
    """The log ends with an aborted transaction: nothing readable is left, only offsets to pass."""
    producer = transactional(kafka, city.name)
    city.given_events(e.headcount("1", "hong-bang", 10))
    city.fold()
    producer.begin_transaction()
    write(producer, city, *(e.headcount(f"a{number}", "hong-bang", 1) for number in range(50)))
    producer.flush(60)
    producer.abort_transaction(60)
    city.fold(seconds=60)
    city.expect_exact()
    assert city.total("headcount_current") == "10"


def test_open_transaction_is_waited_for_and_counted_when_committed(city, kafka):
    producer = transactional(kafka, city.name)
    producer.begin_transaction()
    producer.produce(city.topic("headcount-change"), value=e.wire(e.headcount("open", "hong-bang", 7)), partition=0)
    producer.flush(60)
    city.given_events(e.headcount("behind", "hong-bang", 1), partition=0)
    consumer = city.consumer()
    city.given_events(e.headcount("elsewhere", "hong-bang", 100), partition=1)
    city.wait_for_commits(1, alive=consumer.check_alive)
    assert city.total("headcount_current") == "100"
    producer.commit_transaction(60)
    # Kafka answers before the marker is in the log.
    wait_until("the commit's marker is there", lambda: city.ends()[f"{city.topic('headcount-change')}/0"] == 3, 30)
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()
    assert city.total("headcount_current") == "108"
