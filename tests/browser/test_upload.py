"""The gateway's upload page in a real Chromium: template, dry run with errors by line, sending; both languages, small screens, keyboard."""
import os
import pathlib

import pytest

from tests.lab.city import City
from tests.lab.gateway import Gateway

AXE = """
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, {resultTypes: ['violations']}));
  return found.violations.map((each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html.slice(0, 200)).join(' ; ')}`);
"""
HEAD = "\ufefftype,id,agency,sector,reason,delta,effective_date,decision,reverses\r\n"
GOOD = HEAD + "".join(f"headcount-change,UP-{i},,commune,retired,-{i},2020-10-30,,\r\n" for i in range(1, 4))
BAD = HEAD + "headcount-change,UP-1,,commune,retired,-1,2020-10-30,,\r\nheadcount-change,UP-2,,commune,retired,2,30/10/2020,,\r\n"


@pytest.fixture(scope="module")
def city(kafka, redis, directory):
    made = City("upload", kafka, redis, directory / "upload")
    yield made
    made.stop()
    kafka.forget_city(made.name)


@pytest.fixture(scope="module")
def gateway(city):
    return Gateway(city)


@pytest.fixture(scope="module")
def screenshots(directory):
    path = pathlib.Path(os.environ.get("CITYTOTALS_SCREENSHOTS", directory / "screenshots"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def open_page(browser, gateway, path="/upload", **options):
    browser.run("await page.goto(argument.url)", options, url=f"http://127.0.0.1:{gateway.port}{path}")


def choose(browser, text, token):
    browser.run("""await page.fill('#token', argument.token);
      await page.setInputFiles('#file', {name: 'so-lieu.csv', mimeType: 'text/csv', buffer: Buffer.from(argument.text)});""",
                text=text, token=token)


def said(browser):
    browser.run("await page.waitForFunction(() => ['good', 'bad'].includes(document.querySelector('#said').className))")
    return browser.run("return page.textContent('#said')")


def expect_clean(browser, gateway, *allowed):
    notes = browser.run("return notes")
    assert [each for each in notes["errors"] if not any(word in each for word in allowed)] == []
    assert notes["hosts"] == [f"127.0.0.1:{gateway.port}"]


def test_a_file_is_checked_mended_and_sent(browser, gateway, city):
    def counted():
        return [gateway.metric(f"gateway_events_{name}_total") for name in ("accepted", "refused")]
    accepted, refused = counted()
    open_page(browser, gateway)
    assert browser.run("return page.isDisabled('#send')")
    choose(browser, BAD, gateway.token)
    browser.run("await page.click('#check')")
    assert "1 dòng sai" in said(browser)
    rows = browser.run("return page.$$eval('#rows tr', (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)))")
    assert {tuple(row[:2]) for row in rows} == {("3", "effective_date"), ("3", "delta")}, rows
    assert all(row[2] for row in rows)
    assert browser.run("return page.isDisabled('#send')"), "a file with a fault can't be sent"
    assert counted() == [accepted, refused]
    choose(browser, GOOD, gateway.token)
    assert browser.run("return page.isHidden('#result')"), "what was said is of another file"
    browser.run("await page.click('#check')")
    assert "3 sự kiện" in said(browser) and counted() == [accepted, refused]
    browser.run("await page.click('#send')")
    browser.run("await page.waitForFunction(() => document.querySelector('#said').textContent.startsWith('Đã gửi xong: 3'))")
    assert browser.run("return page.isDisabled('#send')"), "sent once"
    assert counted() == [accepted + 3, refused]
    city.fold()
    assert city.total("headcount_current") == "-6"
    expect_clean(browser, gateway)


def test_by_keyboard_alone(browser, gateway):
    open_page(browser, gateway, "/upload?lang=en")
    choose(browser, GOOD, gateway.token)
    browser.run("""await page.focus('#token'); await page.keyboard.press('Enter');
      await page.waitForSelector('#said.good');
      for (let i = 0; i < 20 && !await page.evaluate(() => document.activeElement.id === 'send'); i++) await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelector('#said').textContent.startsWith('Done: 3'));""")
    expect_clean(browser, gateway)


def test_what_goes_wrong_is_said(browser, gateway):
    open_page(browser, gateway, "/upload?lang=en")
    for text, token, says in ((GOOD, "ct_wrong", "token is not known"), ("type;id\n", gateway.token, "no rows"),
                              ("sep=,\ntype,id\n", gateway.token, "can't be read"), ("x" * (1 << 20) + "x", gateway.token, "over 1 MiB")):
        choose(browser, text, token)
        browser.run("await page.click('#check')")
        assert says in said(browser), text[:20]
        assert browser.run("return page.isDisabled('#send')")
    expect_clean(browser, gateway, "401", "400")


def test_templates_are_empty_tables(gateway):
    for name in ("headcount-change", "unit-merger"):
        answer = gateway.ask("GET", f"/{name}.csv", token=None)
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/csv; charset=utf-8" and answer.body[:3] == b"\xef\xbb\xbf"
        got = gateway.post(answer.body, "text/csv").json
        assert (got["accepted"], got["refused"], got["records"]) == (0, 0, [])


def test_the_page_is_closed_to_others(gateway):
    for path, language in (("/upload", "vi"), ("/upload?lang=en", "en")):
        answer = gateway.ask("GET", path, token=None)
        assert answer.status == 200 and f'<html lang="{language}">'.encode() in answer.body
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert b"<script>" not in answer.body and b"style=" not in answer.body and b"onclick" not in answer.body
    assert b'lang="en"' in gateway.ask("GET", "/upload", token=None, Accept_Language="en-GB,en").body
    assert gateway.ask("GET", "/upload?lang=fr", token=None).status == 400
    assert gateway.ask("POST", "/v1/events?dry_run=yes", b"{}", Content_Type="application/json").status == 400


@pytest.mark.parametrize("width,scheme,language", [(360, "light", "vi"), (360, "dark", "en"), (1280, "light", "en"), (1280, "dark", "vi")])
def test_looks(browser, gateway, screenshots, width, scheme, language):
    open_page(browser, gateway, f"/upload?lang={language}", viewport={"width": width, "height": 800}, colorScheme=scheme)
    browser.run("await page.click('summary')")
    choose(browser, BAD, gateway.token)
    browser.run("await page.click('#check')")
    said(browser)
    browser.run("await page.screenshot({path: argument.path, fullPage: true})", path=str(screenshots / f"upload-{width}-{scheme}-{language}.png"))
    wide = browser.run("return page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])")
    assert wide[0] <= wide[1]
    assert browser.run(AXE) == []
