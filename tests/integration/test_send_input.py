"""`citytotals-producer send` on files and streams of every kind; mostly without Kafka."""
import json
import os
import pty
import subprocess

import pytest

from tests.integration.test_send import PRODUCER, as_json, expected_ids, ids, line, run, written
from tests.lab import events as e

CSV = "id,source,agency,sector,reason,delta,effective_date"


def row(id_, delta=-3):
    return f"{id_},hong-bang,hong-bang,commune,retired,{delta},2020-10-30"


@pytest.fixture
def folder(directory, request):
    path = directory / request.node.name.replace("[", "-").replace("]", "")
    path.mkdir()
    return path


def dry(*arguments, **options):
    return run("send", "--dry-run", *arguments, **options)


# --- what is no event and no error ---

@pytest.mark.parametrize("name,content", [("empty.ndjson", b""), ("mark.ndjson", b"\xef\xbb\xbf"), ("blank.ndjson", b"\n \r\n\n"),
                                          ("empty.csv", b""), ("mark.csv", b"\xef\xbb\xbf"), ("header.csv", CSV.encode()),
                                          ("header-2.csv", b"\xef\xbb\xbf" + CSV.encode() + b"\r\n\r\n")])
def test_nothing_is_no_error(folder, name, content):
    (folder / name).write_bytes(content)
    # Kafka is not asked for: there is nothing to send
    error = run("send", "-b", "127.0.0.1:1", "--type", "headcount-change", folder / name)
    assert "0 lines read: 0 events sent" in error


# --- CSV ---

@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_as_excel_writes_it(city, directory, delimiter):
    file = directory / f"{city.name}.csv"
    rows = [CSV + ",decision", row(1) + ',"12/QĐ"', row(2) + ',"a ""b"""', "", row(3) + ","]
    if delimiter != ",":
        rows = [each.replace(",", delimiter) for each in rows]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    done = city.send("--type", "headcount-change", file)
    assert "3 acknowledged" in done.stderr
    assert ids(city) == expected_ids("1", "2", "3")


def test_csv_records_are_named_by_the_line_where_they_begin(folder):
    (folder / "a.csv").write_text("\n".join([CSV + ",decision", row(1) + ',"two\nlines"', row(2, 0) + ",", row(3) + ",", ""]))
    error = dry("--type", "headcount-change", folder / "a.csv", status=3)
    assert "a.csv: line 2: decision " in error and "a.csv: line 4: delta is 0" in error and "line 5" not in error


@pytest.mark.parametrize("content,words", [
    ("sep=;\nid;source", "line 1: it is a sep= line"), ("1,a,b,commune\n", "line 1: a CSV file begins with a header"),
    ("id,agency\n", "give --type"), (CSV.replace("agency", "Agency") + ",type\n", "allowed: agency, exactly"),
    (CSV + ",type,merged_units\n", "lists can't be given in CSV"), (CSV + ",type\n" + row(1) + "\n", "line 2: it has 7 cells; allowed: 8")])
def test_csv_that_is_refused(folder, content, words):
    (folder / "a.csv").write_text(content)
    assert words in dry(folder / "a.csv", status=3)


# --- encodings ---

@pytest.mark.parametrize("name,content,words", [
    ("a.ndjson", json.dumps(line("1")).encode("utf-16"), "UTF-16"), ("a.csv", (CSV + "\n").encode("utf-16"), "UTF-16"),
    ("b.csv", (CSV + "\n").encode("utf-16-le"), "zero bytes"), ("a.xlsx", b"PK\x03\x04....", "xlsx"),
    ("c.csv", f"{CSV},decision\n{row(1)},Quận\n{row(2)},Hồng\n".encode("cp1258", errors="replace").replace(b"?", b"\xf2"),
     "line 2: byte "), ("b.ndjson", json.dumps(line("1", decision="né"), ensure_ascii=False).encode("latin-1"), "not UTF-8")])
@pytest.mark.parametrize("keep", [(), ("--keep-going",)])
def test_another_encoding_is_one_clear_error(folder, name, content, words, keep):
    (folder / name).write_bytes(content)
    error = dry("--type", "headcount-change", *keep, folder / name, status=3)
    assert words in error and len(error.splitlines()) == 3 and "1 file was refused as a whole" in error, error


def test_binary_rubbish_ends_cleanly(folder):
    import random
    source = random.Random(5)
    for number in range(30):
        file = folder / f"{number}.{'csv' if number % 2 else 'ndjson'}"
        file.write_bytes(source.randbytes(source.randrange(1, 100000)))
        dry("--type", "unit-merger", "--keep-going", "--rejects", folder / "r", file, status=3)


def test_csv_without_its_ending_is_guessed_in_words(folder):
    (folder / "a.txt").write_text(f"{CSV}\n{row(1)}\n")
    assert "CSV is read with --format csv" in dry(folder / "a.txt", status=3)
    assert "CSV is read with --format csv" in dry(data=f"{CSV}\n{row(1)}\n".encode(), status=3)


# --- within one file ---

def test_repeats_are_told_and_conflicts_refused(city, directory):
    one, two = line("1"), line("2")
    good = written(directory / f"{city.name}-good.ndjson", one, two, {**one, "occurred_at": "2020-01-01T00:00:00Z"}, one)
    done = city.send(good)
    assert "line 3: repeats line 1" in done.stderr and "line 4: repeats line 1" in done.stderr
    assert "2 events sent, 2 repeats, 0 refused; 2 acknowledged" in done.stderr
    bad = written(directory / f"{city.name}-bad.ndjson", line("3"), line("4"), {**line("3"), "delta": -9}, line("5"))
    done = city.send(bad, status=3)
    assert "line 3: id is that of line 1, which says something else" in done.stderr
    assert ids(city) == expected_ids("1", "2")
    done = city.send(bad, "--keep-going", "--rejects", directory / f"{city.name}.rejects", status=3)
    assert ids(city) == expected_ids("1", "2", "3", "4", "5")
    assert "line 3: id is that of line 1" in (directory / f"{city.name}.rejects").read_text()


@pytest.mark.parametrize("late", [False, True])
def test_a_reversal_of_a_reversal_is_refused_wherever_it_stands(city, directory, late):
    import uuid
    original = line("1")
    back = {**original, "id": None, "reverses": "1"}
    target = uuid.UUID(bytes=e.reversal_id(e.event_id("headcount-change", "hong-bang", "hong-bang", "1")))
    double = {**original, "id": None, "reverses_event_id": str(target)}
    lines = [original, double, back] if late else [original, back, double]
    file = written(directory / f"{city.name}.ndjson", *lines)
    done = city.send(file, status=3)
    wrong, right = (2, 3) if late else (3, 2)
    assert f"line {wrong}: it reverses line {right}, which is a reversal itself" in done.stderr
    rejects = directory / f"{city.name}.rejects"
    city.send(file, "--keep-going", "--rejects", rejects, status=3)
    assert len(ids(city)) == 2 and target.bytes in ids(city)
    assert rejects.read_text().splitlines()[1:] == [json.dumps(double)]


def test_errors_are_told_to_a_bound(folder):
    file = written(folder / "a.ndjson", *["{"] * 250)
    error = dry(file, status=3)
    assert error.count("column 2:") == 100 and "and 150 more problems" in error and "250 of 250 lines refused" in error


# --- streams ---

def test_standard_input_is_sent_block_by_block(city):
    lines = [json.dumps(line(str(i))) + "\n" for i in range(2500)]
    lines[1700] = "{}\n"
    for arguments in ((), ("-",)):
        done = city.send(*arguments, data="".join(lines), status=3)
        assert "-: line 1701: type is missing" in done.stderr and "-: lines 1001 to 2000: nothing of this block was sent" in done.stderr
        assert "1000 acknowledged" in done.stderr
    assert sorted(set(ids(city))) == expected_ids(*map(str, range(1000)))
    done = city.send("--keep-going", data="".join(lines), status=3)
    assert "2499 acknowledged" in done.stderr


def test_csv_from_standard_input(city):
    city.send("--format", "csv", "--type", "headcount-change", data="\n".join([CSV, *map(row, range(1500))]))
    assert ids(city) == expected_ids(*map(str, range(1500)))


def test_block_lines_let_a_live_stream_through(city):
    process = subprocess.Popen([os.fspath(PRODUCER), "send", "-b", city.kafka.bootstrap, "--city", city.name, "--block-lines", "1"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    from tests.lab.process import wait_until
    for number in range(3):
        process.stdin.write(json.dumps(line(str(number))) + "\n")
        process.stdin.flush()
        wait_until(f"event {number} arrives", lambda: len(ids(city)) == number + 1, 30)
    process.stdin.close()
    assert process.wait(60) == 0, process.stderr.read()


def test_a_named_pipe_is_a_stream(folder):
    os.mkfifo(folder / "pipe.ndjson")
    process = subprocess.Popen([os.fspath(PRODUCER), "send", "--dry-run", os.fspath(folder / "pipe.ndjson")], stderr=subprocess.PIPE, text=True)
    with open(folder / "pipe.ndjson", "w") as pipe:
        pipe.write(json.dumps(line("1")) + "\n")
    assert process.wait(60) == 0
    assert "1 events to send" in process.stderr.read()


# --- wrong use and trouble with files ---

@pytest.mark.parametrize("arguments,status,words", [
    (("--rejects", "r"), 2, "--keep-going"), (("--nonsense",), 2, "unknown option"), (("--source", "Phòng"), 2, "source is"),
    (("--type", "headcount"), 2, "unit-merger"), (("--format", "xml"), 2, "ndjson"), (("-", "-"), 2, "allowed: once"),
    (("--partitions", "0"), 2, "partitions"), (("no-such-file.ndjson",), 1, "no-such-file.ndjson: it can't be opened: No such file"),
    ((".",), 1, "it is a directory"), (("--keep-going", "--rejects", "/no/such/folder/r"), 1, "rejects file"),
    (("--check-memory", "1"), 2, "check-memory")])
def test_wrong_use(arguments, status, words):
    assert words in dry(*arguments, status=status, data=b"")


def test_kafka_must_be_named_and_its_safety_kept():
    assert "--brokers" in run("send", status=2, data=b"")
    assert "acks is always all" in run("send", "-b", "127.0.0.1:1", "-X", "acks=1", status=2, data=b"")
    assert "no-such" in run("send", "-b", "127.0.0.1:1", "-X", "no-such=1", status=2, data=b"")


def test_a_missing_file_is_told_before_anything_is_sent(city, directory):
    file = written(directory / f"{city.name}.ndjson", line("1"))
    done = city.send(file, directory / "missing-1.ndjson", directory / "missing-2.ndjson", status=1)
    assert "missing-1.ndjson" in done.stderr and "missing-2.ndjson" in done.stderr
    assert ids(city) == []


def test_good_files_are_sent_beside_a_refused_one(city, directory):
    files = [written(directory / f"{city.name}-{i}.ndjson", line(str(i)), *(["{"] if i == 1 else [])) for i in range(3)]
    city.send(*files, status=3)
    assert ids(city) == expected_ids("0", "2")


def test_rejects_must_not_overwrite_an_input(folder):
    file = written(folder / "a.ndjson", line("1"), "{")
    before = file.read_text()
    os.symlink(file, folder / "link")
    for rejects in (file, folder / "link", folder / ".." / folder.name / "a.ndjson"):
        assert "one of the inputs" in dry("--keep-going", "--rejects", rejects, file, status=2)
    assert file.read_text() == before


def test_a_full_disk_stops_before_anything_is_sent(city, directory):
    file = written(directory / f"{city.name}.ndjson", line("1"), "{", line("2"))
    done = city.send("--keep-going", "--rejects", "/dev/full", file, status=1)
    assert "rejects file /dev/full: it can't be written" in done.stderr
    assert ids(city) == []


def test_rejects_of_csv_can_be_sent_again(city, directory):
    file = directory / f"{city.name}.csv"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([CSV, row(1), row(2, 0), row(3), row("4,"), row(5) + "\r\n"]).encode())
    rejects = directory / f"{city.name}-rejects.csv"
    city.send("--type", "headcount-change", "--keep-going", "--rejects", rejects, file, status=3)
    kept = rejects.read_bytes()
    assert kept.startswith(b"\xef\xbb\xbf" + CSV.encode() + b"\r\n# refused: ") and kept.count(b"# refused: ") == 2
    rejects.write_bytes(kept.replace(b",0,2020", b",-3,2020").replace(b"4,,", b"4,"))
    city.send("--type", "headcount-change", rejects)
    assert ids(city) == expected_ids("1", "2", "3", "4", "5")


def test_rejects_of_two_forms_are_not_mixed(folder):
    a = written(folder / "a.ndjson", "{")
    (folder / "b.csv").write_text(CSV + "\n" + row(1, 0) + "\n")
    error = dry("--type", "headcount-change", "--keep-going", "--rejects", folder / "r", a, folder / "b.csv", status=1)
    assert "b.csv: its refused lines can't be written" in error and "send it by itself" in error


def test_a_line_too_long_is_refused_and_the_rest_goes_on(folder):
    long = json.dumps(line("2", decision="x" * 20000))
    file = written(folder / "a.ndjson", line("1"), long, line("3"))
    error = dry("--keep-going", "--rejects", folder / "r", file, status=3)
    assert "line 2: it is over 16 KiB long" in error and "2 events to send" in error
    assert (folder / "r").stat().st_size < 1000


def test_the_check_says_when_its_memory_is_full(folder):
    file = written(folder / "a.ndjson", *[line(str(i)) for i in range(300000)])
    assert "--check-memory" in dry("--check-memory", "8MiB", file, status=1)
    with open(file) as data:
        error = subprocess.run([os.fspath(PRODUCER), "send", "--dry-run", "--check-memory", "8MiB"], stdin=data, capture_output=True, text=True)
    assert error.returncode == 0 and "earlier lines are forgotten" in error.stderr and "300000 events to send" in error.stderr


# --- how it talks ---

def test_log_lines_as_json(folder):
    file = written(folder / "a.ndjson", line("1"), line("2", sector="phong"), line("1"))
    for text in dry("--log-format", "json", file, status=3).splitlines():
        assert set(json.loads(text)) == {"time", "level", "message"}


def test_the_progress_bar_is_for_terminals(folder):
    file = written(folder / "báo-cáo-biên-chếế-tháng-mười.ndjson", *[line(str(i)) for i in range(60000)])
    assert "\r" not in dry(file)
    master, slave = pty.openpty()
    process = subprocess.Popen([os.fspath(PRODUCER), "send", "--dry-run", os.fspath(file)], stderr=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    drawn = [each for each in seen.decode().split("\r\033[K") if each.startswith("checking")]  # whole characters only
    assert drawn and all(each.startswith("checking báo-cáo-biên-ch") and " %" in each and len(each) <= 79 for each in drawn)
    assert seen.rstrip().endswith(b"nothing was sent")
