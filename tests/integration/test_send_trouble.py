"""`citytotals-producer send` when it is stopped, when Kafka goes away, and when a file changes under it."""
import json
import re
import signal
import subprocess

from tests.integration.test_send import PRODUCER, expected_ids, ids, line, written
from tests.lab.process import BUILD, wait_until


def sender(city, *arguments, **options):
    return city.program("send", PRODUCER, "send", "-b", city.kafka.bootstrap, "--city", city.name, *arguments, **options)


def big_file(path, count=200000):
    text = json.dumps(line("ID", decision="1234/QĐ-UBND"), ensure_ascii=False)
    with open(path, "w") as file:
        for number in range(count):
            file.write(text.replace('"ID"', f'"{number}"') + "\n")
    return path


def acknowledged(process):
    return int(re.search(r"(\d+) acknowledged by kafka", process.log()).group(1))


def paused(kafka):
    """Kafka is there but says nothing."""
    class Pause:
        def __enter__(self):
            kafka.process.signal(signal.SIGSTOP)

        def __exit__(self, *_):
            kafka.process.signal(signal.SIGCONT)
            wait_until("Kafka answers again", kafka.answers, 60)
    return Pause()


def test_a_signal_stops_it_with_a_count_and_sending_again_completes(city, directory):
    file = big_file(directory / f"{city.name}.ndjson")
    process = sender(city, file, "-X", "queue.buffering.max.messages=2000")  # slow enough to be met on the way
    wait_until("some have arrived", lambda: sum(city.ends().values()) > 0, 60, process.check_alive)
    process.signal(signal.SIGINT)
    assert process.wait(60) == 1
    count = acknowledged(process)
    assert 0 < count < 200000
    assert "stopped by SIGINT" in process.log() and "send the same input again" in process.log()
    assert count == sum(city.ends().values())
    again = sender(city, file)
    assert again.wait(120) == 0 and acknowledged(again) == 200000
    assert len(set(ids(city))) == 200000


def test_sigterm_while_waiting_for_input(city):
    process = sender(city, "-", stdin=subprocess.PIPE)
    process.popen.stdin.write((json.dumps(line("1")) + "\n").encode())
    process.popen.stdin.flush()
    wait_until("its handler is set", lambda: int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{process.pid}/status").read()).group(1), 16)
               & (1 << signal.SIGTERM - 1), 30)
    process.signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert "stopped by SIGTERM" in process.log() and ids(city) == []


def test_kafka_silent_on_the_way_ends_by_the_ack_timeout(city, directory):
    file = written(directory / f"{city.name}.ndjson", *[line(str(i)) for i in range(50)])
    with open(file) as data:
        lines = data.readlines()
    process = sender(city, "-", "--block-lines", "1", "--ack-timeout", "4s", "-X", "socket.timeout.ms=2000", stdin=subprocess.PIPE)
    process.popen.stdin.write(lines[0].encode())
    process.popen.stdin.flush()
    wait_until("the first has arrived", lambda: len(ids(city)) == 1, 60, process.check_alive)
    with paused(city.kafka):
        process.popen.stdin.write("".join(lines[1:]).encode())
        process.popen.stdin.close()
        assert process.wait(90) == 1
    log = process.log()
    assert "-: line 2: kafka did not acknowledge it" in log and "more events that kafka did not acknowledge" in log
    assert "; 1 acknowledged by kafka" in log and "send the same input again" in log


def test_a_changed_file_is_never_sent_unchecked(city, directory):
    """It is checked while Kafka is silent; then a line of it changes."""
    file = big_file(directory / f"{city.name}.ndjson", 20000)
    text = file.read_text()
    with paused(city.kafka):
        process = sender(city, file)
        process.wait_for_log("waiting for kafka")
        middle = len(text) // 2
        at = text.index('"delta": -3', middle)
        with open(file, "r+") as changed:
            changed.seek(len(text[:at].encode()))
            changed.write('"delta": +3')
    assert process.wait(120) == 1
    assert "it changed while it was being read" in process.log()
    count = acknowledged(process)
    assert count == len(ids(city)) < 20000


def test_what_is_added_to_a_file_meanwhile_is_told(city, directory):
    file = written(directory / f"{city.name}.ndjson", line("1"))
    with paused(city.kafka):
        process = sender(city, file)
        process.wait_for_log("waiting for kafka")
        with open(file, "a") as grown:
            grown.write(json.dumps(line("2")) + "\n")
    assert process.wait(120) == 0
    assert "it grew while it was read" in process.log() and ids(city) == expected_ids("1")


def test_the_mock_cluster_of_the_demo_takes_events(directory):
    """It knows no admin requests; topics that exist need none."""
    mock = subprocess.Popen([BUILD / "tests" / "tools" / "mock-kafka", "demo", "4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        bootstrap = mock.stdout.readline().split()[1]
        file = written(directory / "mock.ndjson", *[line(str(i)) for i in range(100)])
        for _ in range(2):
            done = subprocess.run([PRODUCER, "send", "-b", bootstrap, "--city", "demo", file], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0 and "100 acknowledged" in done.stderr, done.stderr
    finally:
        mock.stdin.close()
        mock.wait(30)
