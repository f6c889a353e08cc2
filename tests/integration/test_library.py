"""libcitytotals: the example is built against what `cmake --install` puts; programs of many threads, and what Kafka does to them."""
import json
import os
import re
import shutil
import subprocess

import pytest

from tests.integration.test_gateway_trouble import standing_still
from tests.integration.test_send import arrived, as_json, ids, line, written
from tests.lab import events as e
from tests.lab.oracle import log_of
from tests.lab.process import BUILD, ROOT, free_ports, wait_until
from tests.lab.registry import FakeRegistry

LAB = BUILD / "tests" / "library" / "library-lab"


def ran(*command, status=0, **options):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=300, **options)
    assert done.returncode == status, f"{command} ended with {done.returncode}, expected {status}:\n{done.stdout}{done.stderr[-4000:]}"
    return done


def cached(name):
    return re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M).group(1)


@pytest.fixture(scope="module")
def installed(directory):
    prefix = directory / "installed"
    ran("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def flags():
    """What a build with sanitizers has to be told."""
    sanitize = cached("CITYTOTALS_SANITIZE")
    return ["-Wall", "-Wextra", "-Werror", *([f"-fsanitize={sanitize}"] if sanitize else [])]


@pytest.fixture(scope="module")
def link_flags(directory):
    """ThreadSanitizer has to be told of librdkafka's threads by the program itself."""
    if cached("CITYTOTALS_SANITIZE") != "thread":
        return []
    made = directory / "tsan_threads.o"
    ran("cc", "-fsanitize=thread", "-c", ROOT / "base" / "tsan_threads.c", "-o", made)
    return ["-rdynamic", made]


def library_folder(prefix):
    return next(prefix.glob("lib*/**/libcitytotals.a")).parent


def environment(prefix):
    folder = library_folder(prefix)
    return {**os.environ, "PKG_CONFIG_PATH": os.fspath(folder / "pkgconfig"), "LD_LIBRARY_PATH": os.fspath(folder)}


def options_file(city, *more, brokers=None):
    return written(city.directory / f"options-{len(more)}", f"brokers = {brokers or city.kafka.bootstrap}", f"city = {city.name}",
                   "source = hong-bang", "property = reconnect.backoff.max.ms=500", *more)


def own_id():
    return e.event_id("headcount-change", "hong-bang", "hong-bang", "HB-2020-0017")


def test_everything_is_installed_where_it_belongs(installed):
    folder = library_folder(installed)
    version = (installed / "include" / "citytotals.h").read_text()
    number = ".".join(re.search(rf"VERSION_{part} (\d+)", version).group(1) for part in ("MAJOR", "MINOR", "PATCH"))
    shared = folder / f"libcitytotals.so.{number}"
    for path in (shared, folder / "pkgconfig" / "citytotals.pc", folder / "cmake" / "citytotals" / "citytotals-config.cmake",
                 installed / "share" / "man" / "man3" / "libcitytotals.3", installed / "share" / "man" / "man1" / "citytotals-producer.1"):
        assert path.is_file(), path
    soname = re.search(r"SONAME.*\[(.*)\]", ran("readelf", "-d", shared).stdout).group(1)
    assert soname == "libcitytotals.so.0" and (folder / soname).resolve() == shared.resolve()
    assert (folder / "libcitytotals.so").resolve() == shared.resolve()
    env = environment(installed)
    assert ran("pkg-config", "--modversion", "citytotals", env=env).stdout.strip() == number
    # Moved elsewhere as a whole it is found where it is.
    moved = installed.with_name("moved")
    shutil.copytree(installed, moved, symlinks=True)
    env = environment(moved)
    said = ran("pkg-config", "--variable=includedir", "citytotals", env=env).stdout.strip()
    assert os.path.samefile(said, moved / "include")
    shutil.rmtree(moved)


def test_the_example_by_pkg_config(city, installed, flags, link_flags):
    env = environment(installed)
    found = ran("pkg-config", "--cflags", "--libs", "citytotals", env=env).stdout.split()
    program = city.directory / "send_changes"
    city.directory.mkdir(parents=True, exist_ok=True)
    ran("cc", *flags, ROOT / "examples" / "send_changes.c", *link_flags, *found, "-o", program)
    merger = as_json(e.merger("m-1", "so-noi-vu", "commune", "merger", 3, 1), "m-1")
    lines = [line("1"), line("2", decision="1234/QĐ-UBND"), merger]
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines)
    done = ran(program, options_file(city), input=text, env=env)
    assert done.stderr == "" and done.stdout.endswith("4 events acknowledged\n")
    told = {tuple(map(int, re.search(r"partition (\d+), offset (\d+)", row).groups())) + (row.split()[3].rstrip(","),)
            for row in done.stdout.splitlines()[:-1]}
    assert len(told) == 4 and {topic for _, _, topic in told} == {city.topic("headcount-change"), city.topic("unit-merger")}
    assert ids(city) == sorted([own_id(), *(e.event_id(each["type"], each["source"], each["agency"], each["id"]) for each in lines)])
    # Refused lines are told fault by fault, the others are sent; again counts once.
    done = ran(program, options_file(city), input=text + json.dumps(line("3", delta=0, sector="x")) + "\n{\n", env=env, status=3)
    assert re.search(r"line 4: sector is \"x\"; allowed", done.stderr) and re.search(r"line 4: delta is 0", done.stderr)
    assert "line 5: " in done.stderr and len(done.stderr.splitlines()) == 3
    city.fold()
    city.expect_exact()
    assert int(city.total("events")) == 4
    done = ran(program, options_file(city, "colour = red"), input="", env=env, status=1)
    assert 'unknown setting "colour"' in done.stderr


def test_the_example_by_cmake_shared_and_static(city, installed, flags, link_flags):
    build = city.directory / "build"
    ran("cmake", "-S", ROOT / "examples", "-B", build, f"-DCMAKE_PREFIX_PATH={installed}", f"-DCMAKE_C_FLAGS={' '.join(flags)}",
        f"-DCMAKE_EXE_LINKER_FLAGS={' '.join(map(str, link_flags))}")
    ran("cmake", "--build", build)
    for name in ("send_changes", "send_changes_static"):
        linked = ran("ldd", build / name).stdout
        assert ("libcitytotals" in linked) == (name == "send_changes")
        done = ran(build / name, options_file(city), input=json.dumps(line(name)) + "\n")
        assert done.stdout.endswith("2 events acknowledged\n") and done.stderr == ""
    assert len(arrived(city)) == 4 and len(set(ids(city))) == 3


def lab(city, mode, *more, count=1, status=0, brokers=None):
    done = ran(LAB, mode, options_file(city, *more, brokers=brokers), count, status=status)
    assert done.stderr == ""
    return json.loads(done.stdout.splitlines()[-1])


def test_many_threads_and_a_small_queue(city):
    """Each event gets one verdict, and each acknowledged one is there."""
    seen = lab(city, "threads", "queue-events = 100", count=400)
    assert seen == {"acknowledged": 3200, "failed": 0, "timeouts": 0, "untold": 0, "twice": 0, "pending": 0, "closed": "ok", "faults": 0}
    assert len(set(ids(city))) == len(ids(city)) == 3200


def test_what_a_callback_may_do(city):
    seen = lab(city, "callback", "queue-events = 2")
    assert (seen["acknowledged"], seen["timeouts"], seen["untold"], seen["twice"]) == (2, 1, 0, 0)
    assert len(ids(city)) == 2


def test_a_linger_does_not_hold_up_a_flush(city):
    """An hour would pass otherwise."""
    seen = lab(city, "threads", "linger = 60s", count=2)
    assert seen["acknowledged"] == 16 and seen["closed"] == "ok"


def test_a_silent_kafka_blocks_nobody(city):
    """What can't be delivered is given up at the close: each event is told of once, and nothing waits."""
    with standing_still(city.kafka):
        seen = lab(city, "give-up", "queue-events = 20", count=30)
    assert (seen["timeouts"], seen["untold"], seen["twice"], seen["closed"]) == (10, 10, 0, "timeout")
    assert seen["failed"] + seen["acknowledged"] == 20 and seen["acknowledged"] == 0


def test_nobody_there(city):
    seen = lab(city, "give-up", brokers=f"127.0.0.1:{free_ports(1)[0]}", count=3)
    assert seen["failed"] == 3 and seen["untold"] == 0


def test_kafka_killed_and_restarted_under_load(city, kafka):
    """A program that submits again what was not acknowledged loses nothing and doubles nothing."""
    process = city.program("library", LAB, "stubborn", options_file(city, "queue-events = 500", "ack-timeout = 3s"), 2000)
    for _ in range(2):
        before = len(process.output())
        wait_until("events are acknowledged", lambda: len(process.output()) > before, 120, process.check_alive)
        kafka.kill()
        kafka.start()
    assert process.wait(240) == 0, process.log()
    seen = json.loads(process.output().splitlines()[-1])
    assert seen["acknowledged"] >= 8000 and seen["untold"] == seen["pending"] == seen["faults"] == 0
    assert len(set(ids(city))) == 8000
    city.fold()
    city.expect_exact()
    assert int(city.total("events")) == 8000


def test_with_a_schema_registry(city):
    registry = FakeRegistry()
    try:
        secret = written(city.directory / "registry", registry.url)
        assert lab(city, "threads", f"schema-registry-file = {secret}", count=1)["acknowledged"] == 8
        for record in log_of(city.kafka.bootstrap, city.name, ("headcount-changes",))[0]:
            assert record[5][:5] == b"\0" + registry.id_of(json.dumps(e.SCHEMA_JSON["headcount-change"])).to_bytes(4, "big") or \
                record[5][0] == 0 and int.from_bytes(record[5][1:5], "big") in registry.schemas
        registry.fixed = (503, {})
        done = ran(LAB, "threads", options_file(city, f"schema-registry-file = {secret}"), 1, status=1)
        assert "HTTP status 503" in done.stderr
    finally:
        registry.stop()
