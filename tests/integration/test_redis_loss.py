"""Redis dies, loses its tail, or loses everything, under load: the consumer notices by itself and all is counted, once."""
import contextlib
import random

from tests.lab.process import wait_until

SMALL_COMMITS = ("--batch-events", "60", "--management", "127.0.0.1:0")


@contextlib.contextmanager
def folding(city, seed):
    """A consumer that folds a city's traffic: the block happens meanwhile, and afterwards totals are exact."""
    with city.traffic(seed):
        consumer = city.consumer(*SMALL_COMMITS)
        city.wait_for_commits(5, alive=consumer.check_alive)
        yield consumer
        city.wait_for_commits(5, alive=consumer.check_alive)
    city.wait_until_folded(alive=consumer.check_alive)
    assert consumer.stop() == 0
    city.expect_exact()


def test_redis_killed_and_restarted_under_load(city, redis, seed):
    with folding(city, seed) as consumer:
        for _ in range(4):
            redis.kill()
            redis.start()
            city.wait_for_commits(5, alive=consumer.check_alive)
        assert city.metric(consumer, "redis_reconnects_total") >= 4


def test_redis_restarted_empty_under_load(city, redis, seed):
    with folding(city, seed) as consumer:
        epoch = redis.client.hget(city.key("meta"), "epoch")
        redis.kill()
        redis.wipe()
        redis.start()
        city.wait_for_commits(5, alive=consumer.check_alive)
        assert redis.client.hget(city.key("meta"), "epoch") != epoch


def test_flushall_under_load(city, redis, seed):
    with folding(city, seed) as consumer:
        for _ in range(5):
            redis.client.flushall()
            city.wait_for_commits(10, alive=consumer.check_alive)
        # Each is noticed: by a commit (fenced) or by whatever else was asked of the state just then.
        assert city.metric(consumer, "redis_reconnects_total") >= 5
        assert city.metric(consumer, "fenced_total") >= 1


def test_functions_flushed_under_load(city, redis, seed):
    with folding(city, seed) as consumer:
        for _ in range(3):
            redis.client.execute_command("FUNCTION", "FLUSH")
            city.wait_for_commits(5, alive=consumer.check_alive)


def test_append_only_file_cut_back_under_load(city, redis, seed):
    """A crash that lost the tail: totals, offsets and seen ids go back together, and the consumer replays."""
    choose = random.Random(seed)
    with folding(city, seed) as consumer:
        for _ in range(3):
            size = redis.append_only_size()
            city.wait_for_commits(choose.randint(15, 30), alive=consumer.check_alive)
            redis.kill()
            now = redis.append_only_size()
            assert now > size
            redis.cut_back(choose.choice((size, choose.randint(size, now))))
            redis.start()
            city.wait_for_commits(5, alive=consumer.check_alive)


def test_append_only_file_cut_back_while_nobody_folds(city, redis, seed):
    traffic = city.traffic(seed)
    traffic.given(600)
    city.fold()
    exact_then = city.version()
    wait_until("the file is written", lambda: redis.client.info("persistence")["aof_pending_bio_fsync"] == 0)
    size = redis.append_only_size()
    traffic = city.traffic(seed + 1)
    traffic.given(600)
    city.fold()
    assert city.version() > exact_then
    redis.kill()
    redis.cut_back(size)
    redis.start()
    assert city.version() == exact_then
    city.fold()
    city.expect_exact()


def test_transaction_torn_in_the_append_only_file_never_counts_in_part(city, redis, seed):
    """Redis's own recovery may do half of a commit, see the lab: then the state is refused, not folded on."""
    traffic = city.traffic(seed)
    for _ in range(2):
        traffic.given(200)
        city.fold()
    redis.kill()
    redis.cut_within_a_transaction(b"APPEND")
    redis.start()
    city.fold()
    city.expect_exact()
    redis.kill()
    redis.start()
    consumer = city.consumer("--until-end")
    if consumer.wait() == 0:
        city.expect_exact()
    else:
        assert "part of the state was deleted or changed" in consumer.log()


def test_meta_deleted_by_hand_is_refused(city, redis, seed):
    traffic = city.traffic(seed)
    traffic.given(300)
    consumer = city.consumer()
    city.wait_until_folded(alive=consumer.check_alive)
    meta = redis.client.hgetall(city.key("meta"))
    redis.client.delete(city.key("meta"))
    traffic.given(300)
    consumer.wait_for_log("part of the state was deleted")
    consumer.kill()
    refused = city.fold(status=1)
    assert "part of the state was deleted" in refused.log()
    redis.client.hset(city.key("meta"), mapping=meta)
    city.fold()
    city.expect_exact()
