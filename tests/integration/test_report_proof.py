"""A report is proved by verify from its seal: up to where it was counted, whatever has come since."""
import json
import subprocess

import pytest

from tests.integration.test_report import DAY, digest, report, sample  # noqa: F401 (a fixture)
from tests.lab import events as e
from tests.lab.process import BUILD


def prove(city, path, status=0, *flags):
    done = subprocess.run([BUILD / "consumer" / "citytotals-consumer", "verify", "-b", city.kafka.bootstrap, "--city", city.name, "--redis", city.redis.url,
                           "--report", path, *flags], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if not status or status == 4 else done.stderr


def expect_proved(city, path):
    said = json.loads(prove(city, path, 0, "--format", "json"))
    assert said["proved"] is True and said["report"]["proved"] is True and said["report"]["date"] == DAY
    return said["report"]


@pytest.fixture
def kept(sample, directory):  # noqa: F811
    """The sample's report in each format, as files."""
    paths = {}
    for kind in ("text", "html", "csv", "json"):
        paths[kind] = directory / f"report-{sample.name}.{kind}"
        paths[kind].write_text(report(sample, "--format", kind))
    return paths


def test_each_format_is_proved_and_its_sums_are_the_figures(sample, kept):  # noqa: F811
    figures = json.loads(kept["json"].read_text())
    for path in kept.values():
        sums = expect_proved(sample, path)["sums"]
        for sector, headcount in figures["headcount"]["by_sector"].items():
            assert sums[f"headcount:baseline:{sector}"] == headcount["baseline"] and sums[f"headcount:current:{sector}"] == headcount["current"]
        for category, units in figures["units"].items():
            assert sums.get(f"units:change:{category}", 0) == units["change"] and sums.get(f"units:baseline:{category}") == units["baseline"]
    text = prove(sample, kept["text"])
    assert "its digest is what the log says" in text and "headcount current:commune" in text
    assert subprocess.run([BUILD / "consumer" / "citytotals-consumer", "verify", "-b", sample.kafka.bootstrap, "--city", sample.name, "--redis", sample.redis.url,
                           "--report", "-"], input=kept["html"].read_text().replace(" unit-mergers", "\n  unit-mergers"), capture_output=True, text=True,
                          timeout=120).returncode == 0, "as copied from paper, in two lines"


def test_an_old_report_stays_proved(sample, kept):  # noqa: F811
    """More events by its day, repeats in other partitions, reversals and conflicts: none of them was in it."""
    first = json.loads(kept["json"].read_text())["digest"]["value"]
    before = e.headcount("before", "hong-bang", -5, date=DAY)
    sample.given_events(before)
    sample.fold()
    kept["json"].write_text(report(sample, "--format", "json"))
    for partition in range(4):
        sample.given_events(before, partition=partition)
    sample.given_events(e.headcount("after", "so-y-te", -9, date=DAY), e.headcount("before", "hong-bang", -6, date=DAY), e.reversal(before))
    sample.fold()
    expect_proved(sample, kept["text"])
    assert expect_proved(sample, kept["json"])["digest"] not in (first, json.loads(report(sample, "--format", "json"))["digest"]["value"])


def test_a_report_that_was_changed_is_told(sample, kept):  # noqa: F811
    text = kept["text"].read_text()
    value = digest(sample, sample.name, DAY)
    kept["text"].write_text(text.replace(value, value[:-1] + ("0" if value[-1] != "0" else "1")))
    said = prove(sample, kept["text"], 4)
    assert "the report's digest" in said and value in said and "its digest is not proved" in said
    kept["text"].write_text(text.replace(DAY, "2020-10-29"))
    assert json.loads(prove(sample, kept["text"], 4, "--format", "json"))["report"]["proved"] is False
    positions = next(line for line in text.splitlines() if line.startswith("citytotals-report")).split("headcount-changes:")[1].split()[0]
    less = ",".join(str(max(0, int(number) - 1)) for number in positions.split(","))
    kept["text"].write_text(text.replace(positions, less))
    assert "the report's digest" in prove(sample, kept["text"], 4)
    kept["text"].write_text(text.replace(positions, "999," + positions.split(",", 1)[1]))
    assert "counted more of the log" in prove(sample, kept["text"], 1)


def test_what_is_no_report_is_refused(sample, kept, directory):  # noqa: F811
    text, other = kept["text"].read_text(), directory / "no-report"
    for content, words in (("", "no seal"), ("x" * 100000, "no seal"), ("citytotals-report 1 ", "not whole"), (text.replace(sample.name, "elsewhere"), "elsewhere"),
                           (text.split("unit-mergers")[0], "not whole"), (text.replace("unit-mergers:", "unit-mergers:1,,"), "not whole"),
                           (text.replace("citytotals-report 1", "citytotals-report 2"), "no seal")):
        other.write_text(content)
        assert words in prove(sample, other, 2)
    assert "/nowhere" in prove(sample, "/nowhere", 1)
    assert "--sample-agency" in prove(sample, kept["text"], 2, "--sample-agency", "hong-bang")
