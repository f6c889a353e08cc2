"""The live page and the widgets in a real Chromium, on real Kafka and Redis."""
import contextlib
import functools
import gzip
import http.server
import json
import os
import pathlib
import re
import threading
import xml.etree.ElementTree
from html import unescape
from html.parser import HTMLParser

import pytest

from tests.lab.process import wait_until

HOSTILE = "<img src=x onerror=\"window.bad=1\"></td><script>window.bad=1</script>'&{{#city}}"  # which an agency may write
OPEN = """
  await page.goto(argument.url);
  await page.waitForSelector('#live[data-live="yes"]');
  await page.waitForSelector('#chart canvas');
"""
AXE = """
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, {resultTypes: ['violations']}));
  return found.violations.filter((each) => ['serious', 'critical'].includes(each.impact))
    .map((each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html.slice(0, 200)).join(' ; ')}`);
"""
LOOKS = [{"colorScheme": scheme, "locale": locale, "viewport": {"width": width, "height": height}}
         for width, height in ((360, 740), (768, 1024), (1440, 900)) for scheme in ("light", "dark") for locale in ("vi-VN", "en-GB")]


def open_page(browser, server, path="/", **options):
    browser.run(OPEN, options, url=server.url + path)


@pytest.fixture(scope="module")
def screenshots(directory):
    """A folder that is thrown away, or the one that CITYTOTALS_SCREENSHOTS names, for looking at them."""
    path = pathlib.Path(os.environ.get("CITYTOTALS_SCREENSHOTS", directory / "screenshots"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def expect_clean(browser, server):
    """No error on the console, and nothing asked of any other host."""
    notes = browser.run("return notes")
    assert notes["errors"] == [] and notes["hosts"] == ["%s:%d" % server.address]


def a_retirement(city, id_, delta):
    city.send(data=json.dumps({"type": "headcount-change", "id": id_, "source": "hong-bang", "agency": "hong-bang", "sector": "administrative",
                               "reason": "retired", "delta": delta, "effective_date": "2020-11-02", "decision": f"{id_}/QĐ-UBND"}) + "\n")


def shown(number):
    return f"{number:,}".replace(",", ".")


@contextlib.contextmanager
def another_site(directory, page):
    """A web server of somebody else, at another origin."""
    directory.mkdir(exist_ok=True)
    (directory / "index.html").write_text(page)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def send_head(self):
            self.close_connection = True
            return super().send_head()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{site.server_address[1]}/"
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


def test_an_event_changes_the_open_page(browser, server, city):
    open_page(browser, server)
    before = server.ask("/v1/totals").json["headcount"]
    browser.run("await page.evaluate(() => { window.same = true; })")
    assert browser.run("return page.textContent('#current')") == shown(before["current"])
    a_retirement(city, "live-1", -7)
    browser.run("await page.waitForFunction((text) => document.querySelector('#current').textContent === text, argument.text)",
                text=shown(before["current"] - 7))
    browser.run("await page.waitForFunction(() => document.querySelector('#changes').textContent.includes('live-1/QĐ-UBND'))")
    after = server.ask("/v1/totals").json["headcount"]
    percent = after["reduction_percent"].replace(".", ",") + "%"
    assert browser.run("return page.textContent('#gauge-value')") == percent
    assert browser.run("return page.textContent('[data-v=\"headcount.by_sector.administrative.current\"]')") == shown(after["by_sector"]["administrative"]["current"])
    assert browser.run("return page.evaluate(() => window.same)") is True, "the page was loaded again"
    expect_clean(browser, server)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look['viewport']['width']}-{look['colorScheme']}-{look['locale'][:2]}")
def test_looks(browser, server, screenshots, look):
    """At each width, light and dark, in both languages: nothing serious for axe, no scrolling sideways, screenshots to look at."""
    open_page(browser, server, **look)
    assert browser.run("return page.getAttribute('html', 'lang')") == look["locale"][:2]
    browser.run("await page.waitForSelector('#matrix table')")
    name = f"{look['viewport']['width']}-{look['colorScheme']}-{look['locale'][:2]}.png"
    browser.run("await page.screenshot({path: argument.path, fullPage: argument.full})", path=str(screenshots / name),
                full="CITYTOTALS_SCREENSHOTS" in os.environ)
    wide = browser.run("return page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])")
    assert wide[0] <= wide[1], f"the page is {wide[0]} px wide at {wide[1]} px"
    cut = browser.run("""return page.evaluate(() => [...document.querySelectorAll('th, td, dd, dt, p, h1, h2, a')]
      .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.outerHTML.slice(0, 120)))""")
    assert cut == []
    if look["viewport"]["width"] != 768 and (look["locale"] == "vi-VN" or look["colorScheme"] == "light"):  # colours and layouts that differ
        assert browser.run(AXE) == []
    expect_clean(browser, server)


def test_4k_and_reduced_motion(browser, server, screenshots):
    open_page(browser, server, viewport={"width": 3840, "height": 2160}, reducedMotion="reduce")
    assert browser.run("return page.evaluate(() => parseFloat(getComputedStyle(document.documentElement).fontSize))") >= 20
    assert browser.run("return page.evaluate(() => getComputedStyle(document.querySelector('#gauge')).transitionDuration)") in ("0s", "")
    browser.run("await page.screenshot({path: argument.path})", path=str(screenshots / "3840.png"))
    expect_clean(browser, server)


def test_by_keyboard(browser, server):
    """Tab reaches everything in order; the chart is read by arrow keys; an agency opens and closes, and focus comes back."""
    open_page(browser, server, viewport={"width": 1440, "height": 900})
    browser.run("await page.waitForSelector('[data-agency=\"hong-bang\"]')")
    walk = browser.run("""
      const seen = [];
      for (let step = 0; step < 80; step++) {
        await page.keyboard.press('Tab');
        const at = await page.evaluate(() => { const node = document.activeElement; const style = getComputedStyle(node);
          return node === document.body ? null : [node.id || node.dataset.agency || node.tagName, style.outlineStyle !== 'none' || node.className === 'skip']; });
        if (!at) break;
        seen.push(at);
      }
      return seen""")
    names = [name for name, _ in walk]
    assert names[0] == "A" and walk[0][1] and "language" in names and "measure" in names and "agency" in names
    assert all(visible for _, visible in walk), [name for name, visible in walk if not visible]
    assert "chart-slider" in names and names.count("SUMMARY") >= 5
    read = browser.run("""
      await page.focus('#chart-slider');
      const value = () => page.getAttribute('#chart-slider', 'aria-valuetext');
      const last = await value();
      await page.keyboard.press('Home');
      return [last, await value()]""")
    assert read[0] != read[1] and "01/2015" in read[1] and "%" in read[0]
    browser.run("await page.focus('[data-agency=\"hong-bang\"]'); await page.keyboard.press('Enter'); await page.waitForSelector('#dialog[open] table')")
    assert browser.run("return page.textContent('#dialog-title')") == "Quận Hồng Bàng"
    assert "+650" in browser.run("return page.textContent('#dialog-body')")
    assert browser.run(AXE) == []
    browser.run("await page.keyboard.press('Escape'); await page.waitForSelector('#dialog', {state: 'hidden'})")
    assert browser.run("return page.evaluate(() => document.activeElement.dataset.agency)") == "hong-bang"
    expect_clean(browser, server)


def test_each_measure_is_drawn(browser, server):
    open_page(browser, server)
    measures = browser.run("return page.$$eval('#measure option', (options) => options.map((option) => option.value))")
    assert len(measures) == 8
    for measure in measures:
        browser.run("""
          const answer = page.waitForResponse((each) => each.url().includes(`measure=${argument.measure}`));
          await page.selectOption('#measure', argument.measure);
          await answer;
          const label = await page.$eval('#measure', (node) => node.selectedOptions[0].textContent);
          await page.waitForFunction((text) => document.querySelector('#history-measure').textContent === text, label);
          const drawn = await page.evaluate(() => {
            const canvas = document.querySelector('#chart canvas'), colours = new Set();
            if (!canvas) return [document.querySelector('#chart .empty') && !document.querySelector('#history-rows tr') ? 9 : 0, ''];
            const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            for (let at = 0; at < bytes.length; at += 4) if (bytes[at + 3] > 200) colours.add(bytes.slice(at, at + 3).join());
            return [colours.size, document.querySelector('#chart-slider').getAttribute('aria-valuetext')];
          });
          if (drawn[0] < 3 || drawn[1].includes('NaN')) throw new Error(`drawn: ${drawn}`);""", measure=measure)
    expect_clean(browser, server)


def test_without_javascript(browser, server, screenshots):
    totals = server.ask("/v1/totals").json
    browser.run("await page.goto(argument.url)", {"javaScriptEnabled": False}, url=server.url + "/")
    browser.run("await page.screenshot({path: argument.path, fullPage: true})", path=str(screenshots / "no-script.png"))
    text = browser.run("return page.innerText('body')")
    for number in (totals["headcount"]["current"], totals["headcount"]["reduction"], totals["units"]["public_service_unit"]["current"]):
        assert shown(number) in text
    assert totals["headcount"]["reduction_percent"].replace(".", ",") + "%" in text
    newest = server.ask("/v1/changes?limit=1").json
    assert newest["changes"][0]["decision"] in text, newest
    assert browser.run("return page.isVisible('#timeline svg')") and not browser.run("return page.isVisible('#measure-label')")
    browser.run("await page.click('#history summary')")
    assert totals["headcount"]["reduction_percent"].replace(".", ",") + "%" in browser.run("return page.innerText('#history-rows')")
    browser.run("await page.click('#language')")
    assert "Payroll reduction" in browser.run("return page.innerText('h1')")
    assert browser.run("return page.getAttribute('html', 'lang')") == "en"


def test_a_build_without_the_chart_library(browser, server):
    """The timeline that the server drew stays, the table is kept up to date, and nothing is wrong."""
    browser.run("""
      await page.route('**/vendor/chart.js', (route) => route.fulfill({contentType: 'text/javascript', body: '// not here\\n'}));
      await page.goto(argument.url);
      await page.waitForSelector('#live[data-live="yes"]');""", {}, url=server.url + "/")
    assert browser.run("return page.isVisible('#timeline svg')") and not browser.run("return page.isVisible('#chart')")
    browser.run("await page.click('#history summary'); await page.waitForSelector('#history-rows tr')")
    expect_clean(browser, server)


def test_on_paper(browser, server, screenshots):
    """In print the chart has the paper's colours and width, whatever the screen's; controls are left out."""
    open_page(browser, server, colorScheme="dark", viewport={"width": 1440, "height": 900})
    browser.run("await page.pdf({path: argument.path, format: 'A4', printBackground: false})", path=str(screenshots / "page.pdf"))
    seen = browser.run("""
      await page.setViewportSize({width: 720, height: 1000});
      await page.emulateMedia({media: 'print'});
      await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
      return page.evaluate(() => {
        const canvas = document.querySelector('#chart canvas'), bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const colours = new Set();
        for (let at = 0; at < bytes.length; at += 4) if (bytes[at + 3] === 255) colours.add(bytes.slice(at, at + 3).join());
        const shown = (selector) => [...document.querySelectorAll(selector)].some((node) => node.getClientRects().length);
        return [colours.has('11,93,71'), canvas.getBoundingClientRect().right <= innerWidth, shown('select, label, summary, footer, #language'), shown('#chart-measure'), document.documentElement.scrollWidth <= innerWidth];
      });""")
    assert seen == [True, True, False, True, True]
    expect_clean(browser, server)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_report_on_paper(browser, server, screenshots, language):
    """On A4 nothing is cut off or broken inside: dates stand on one line, tables keep the page's width; axe finds nothing serious."""
    browser.run("await page.goto(argument.url); await page.emulateMedia({media: 'print'});", {"viewport": {"width": 672, "height": 950}},
                url=f"{server.url}/v1/report.html?as_of=2020-10-30&lang={language}")
    seen = browser.run("""return page.evaluate(() => {
      const dates = [...document.querySelectorAll('td.d')].map((node) => node.textContent.length === 10 && node.scrollWidth <= node.clientWidth + 1
        && new Set([...(() => { const range = document.createRange(); range.selectNodeContents(node); return range.getClientRects(); })()].map((box) => box.top)).size === 1);
      return [dates.length, dates.every(Boolean), document.documentElement.scrollWidth <= innerWidth, document.querySelectorAll('table').length];
    })""")
    assert seen[0] >= 10 and seen[1:] == [True, True, 6], seen
    assert browser.run(AXE) == []
    pdf = screenshots / f"report-{language}.pdf"
    browser.run("await page.pdf({path: argument.path, format: 'A4', preferCSSPageSize: true})", path=str(pdf))
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) <= 6


def test_widgets_on_another_site_share_one_stream(browser, server, city, directory):
    page = ('<!doctype html><html lang="en"><title>x</title><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            f'script-src {server.url}; connect-src {server.url}"><p>Another site</p>\n'
            f'<script type="module" src="{server.url}/widget.js"></script>\n<city-visitors></city-visitors> <city-reduction></city-reduction></html>')
    streams = "return page.evaluate(() => performance.getEntriesByType('resource').length)"
    value = "(kind) => document.querySelector(kind).shadowRoot.textContent"
    with another_site(directory / "site", page) as url:
        browser.run("await page.goto(argument.url); await page.waitForSelector('city-reduction[data-live=\"yes\"]')", {}, url=url)
        assert browser.run(streams) >= 1
        text = browser.run(f"return page.evaluate({value}, 'city-visitors')")
        assert all(word in text for word in ("Portal visits", "Online now", "Today", "This week", "All time"))
        connections = browser.run("""
          argument.count = 0;
          context.on('request', (request) => { if (request.url().endsWith('/v1/stream')) argument.count++; });
          const more = [];
          for (let number = 0; number < 3; number++) {
            const other = await context.newPage();
            more.push(other);
            await other.goto(page.url());
            await other.waitForSelector('city-reduction[data-live="yes"]');
          }
          globalThis.more = more;
          return argument.count""")
        assert connections == 0, "tabs of one site share the first one's stream"
        before = browser.run(f"return page.evaluate({value}, 'city-reduction')")
        a_retirement(city, "widget-1", -11)
        browser.run(f"""
          for (const each of [page, ...globalThis.more])
            await each.waitForFunction((before) => ({value})('city-reduction') !== before, argument.before);""", before=before)
        browser.run("await page.close()")  # the tab that holds the stream; another one takes its place
        now = browser.run(f"return globalThis.more[0].evaluate({value}, 'city-reduction')")
        a_retirement(city, "widget-2", -12)
        browser.run(f"""
          for (const each of globalThis.more)
            await each.waitForFunction((before) => ({value})('city-reduction') !== before, argument.before);""", before=now)
        assert browser.run("return notes.errors") == []


def inline(html):
    """What a strict policy would stop."""
    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = {name for name, _ in attributes}
            if tag == "style" or (tag == "script" and "src" not in names) or any(name == "style" or name.startswith("on") for name in names):
                found.append(self.get_starttag_text())
    found = []
    Tags().feed(html)
    return found


def test_inline_tells_what_is_inline():
    assert inline("<script>a()</script><p onclick='b()'><i style='c'><style>d</style><script src=e></script><p>on=f style=g") == [
        "<script>", "<p onclick='b()'>", "<i style='c'>", "<style>"]


def test_what_the_server_sends(server):
    """A strict policy, a small first load, languages, and badges that are well-formed images."""
    page = server.ask("/", Accept_Encoding="gzip")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff" and "Accept-Language" in page.headers["Vary"]
    html = gzip.decompress(page.body).decode()
    assert inline(html) == [] and not re.search(r"\{\{|\}\}", unescape(html).replace(HOSTILE, ""))
    assert server.ask("/vendor/chart.js").body.startswith(b"/*!\n * Chart.js v"), "built without the library: apt-get install libjs-chart.js"
    for coding in ("gzip", "gzip, br"):
        load = sum(len(server.ask(path, Accept_Encoding=coding).body) for path in (
            "/", "/vendor/chart.js", "/app.js", "/chart.js", "/stream.js", "/words.js", "/style.css", "/icon.svg", "/v1/agencies", "/v1/changes?limit=12",
            "/v1/history?measure=reduction_percent&step=month", "/v1/totals"))
        assert load <= 150 * 1024, (coding, load)
    for header, language in (("vi", "vi"), ("en", "en"), ("en-GB,en;q=0.9,vi;q=0.8", "en"), ("vi-VN,en;q=0.5", "vi"), ("fr", "vi"), ("en;q=0", "vi"),
                             ("eng", "vi"), ("de, en;q=0.1", "en"), ("", "vi"), (",,;", "vi")):
        assert f'<html lang="{language}">' in server.ask("/", Accept_Language=header).text, header
    assert '<html lang="en">' in server.ask("/?lang=en", Accept_Language="vi").text
    assert server.ask("/?lang=fr").status == 400
    for path, words in (("/widget.svg", ("Thống kê truy cập", "Đang online", "Hôm nay", "Trong tuần", "Tất cả")),
                        ("/reduction.svg?lang=en", ("Payroll reduction", "%", "2021-12-31"))):
        badge = server.ask(path)
        assert badge.headers["Content-Type"] == "image/svg+xml"
        text = "".join(xml.etree.ElementTree.fromstring(badge.body).itertext())
        assert all(word in text for word in words), text
    script = server.ask("/widget.js", Origin="https://elsewhere.example")
    assert script.headers["Access-Control-Allow-Origin"] == "*"


def test_redis_away_shows_a_banner(browser, city, redis, directory):
    from tests.lab.proxy import RedisProxy
    from tests.lab.web import Server
    between = RedisProxy(redis)
    own = Server(city.name, between, directory / "serve-stale")
    try:
        wait_until("it is ready", lambda: own.ready() == 200, 60, own.process.check_alive)
        own.url = "http://%s:%d" % own.address
        open_page(browser, own)
        assert not browser.run("return page.isVisible('#stale')")
        between.close()
        browser.run("await page.waitForSelector('#stale', {state: 'visible'})")
        own.process.stop()
        browser.run("await page.waitForSelector('#lost', {state: 'visible'})")
    finally:
        between.close()
        own.process.kill()


def test_hostile_text_stays_text(browser, server, city):
    """What an agency writes is shown as it is written, by the server and by the scripts, and runs nothing."""
    city.send(data=json.dumps({"type": "headcount-change", "id": "hostile", "source": "hong-bang", "agency": "hong-bang", "sector": "commune",
                               "reason": "retired", "delta": -1, "effective_date": "2020-11-02", "decision": HOSTILE}) + "\n")
    html = wait_until("the page carries it", lambda: (text := server.ask("/").text).count("{{#city}}") and text, 60)
    assert "<img" not in html and html.count("<script") == 2
    open_page(browser, server)
    browser.run("await page.waitForFunction((text) => document.querySelector('#changes').textContent.includes(text), argument.text)", text=HOSTILE)
    assert browser.run("return page.evaluate(() => window.bad)") is None
    expect_clean(browser, server)
