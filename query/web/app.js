// The live page: numbers that move as the city's do, the timeline, the pilots' matrix, changes and one agency's events.
import { available, draw } from "./chart.js";
import { follow } from "./stream.js";
import { speaker } from "./words.js";

const GAUGE_MOST = 12;
const CHANGES = 12;
const REST_MS = 2000; // lists are asked for again at most so often
const HISTORY_MS = 10e3;
const SPEAK_MS = 20e3;
const LOST_MS = 4000; // a short break is not worth a banner
const FEW_DAYS = 120; // then the timeline shows days, not months
const { words, number, percent, date, time, language } = speaker(document.documentElement.lang);
const find = (id) => document.getElementById(id);
const known = { names: new Map(), version: null, spokenAt: 0, points: null };

function make(name, text, attributes = {}) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// At most one call at a time and a rest after it; calls meanwhile become one more.
function seldom(rest, work) {
  let busy = false, again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    await work().catch(() => {}); // the stream tells when the server is away
    setTimeout(() => {
      busy = false;
      if (again) run();
    }, rest);
  };
}

const nameOf = (id) => known.names.get(id)?.[language] ?? id;

// --- numbers ---

function shown(value, form) {
  if (form === "p") return percent(value);
  return number(value, form === "s");
}

function put(node, text) {
  if (node.textContent === text) return;
  node.textContent = text;
  node.classList.remove("moved");
  if (!document.hidden) requestAnimationFrame(() => node.classList.add("moved"));
}

function show(totals) {
  for (const node of document.querySelectorAll("[data-v]")) {
    const value = node.dataset.v.split(".").reduce((at, part) => at?.[part], totals);
    put(node, shown(value, node.dataset.f));
  }
  const { headcount, as_of } = totals;
  const reached = Math.max(0, Math.min(100, Number(headcount.reduction_percent ?? 0) / GAUGE_MOST * 100));
  find("gauge").setAttribute("stroke-dasharray", `${reached} 200`);
  const missing = Math.max(0, Math.ceil(headcount.baseline / 10) - headcount.reduction);
  find("goal").dataset.met = headcount.target_met ? "yes" : "no";
  find("goal").textContent = headcount.reduction_percent === null ? words.noBaseline : headcount.target_met ? words.met : words.missing(number(missing));
  find("updated").textContent = as_of.updated_at ? time(as_of.updated_at) : words.nothing;
  find("read").textContent = time(as_of.read_at);
  find("stale").hidden = !as_of.stale;
  showPilots(totals.pilots);
  const now = Date.now();
  if (now - known.spokenAt > SPEAK_MS && known.spoken !== headcount.current) {
    if (known.spoken !== undefined) find("spoken").textContent = words.spoken(number(headcount.current), percent(headcount.reduction_percent));
    known.spokenAt = now;
    known.spoken = headcount.current;
  }
}

function showPilots({ pairs }) {
  const text = JSON.stringify(pairs) + known.names.size;
  if (text === known.pilots || !pairs.length) return;
  known.pilots = text;
  const models = [...new Set(pairs.map((pair) => pair.model))], districts = [...new Set(pairs.map((pair) => pair.district))];
  const live = new Set(pairs.map((pair) => `${pair.model} ${pair.district}`));
  const table = make("table", undefined, { class: "matrix" }), head = make("tr"), body = make("tbody"), top = make("thead");
  head.append(make("th", words.model, { scope: "col" }));
  for (const district of districts) {
    const cell = make("th", undefined, { scope: "col" });
    cell.append(make("span", nameOf(district).replace(/^(Quận|Huyện) | District$/g, "")));
    head.append(cell);
  }
  for (const model of models) {
    const row = make("tr");
    row.append(make("th", words.models[model] ?? model, { scope: "row" }));
    for (const district of districts) {
      const yes = live.has(`${model} ${district}`), cell = make("td", undefined, { class: yes ? "yes" : "no" });
      cell.append(make("span", yes ? words.yes : words.no, { class: "unseen" }));
      row.append(cell);
    }
    body.append(row);
  }
  top.append(head);
  table.append(top, body);
  find("matrix").replaceChildren(table);
}

// --- changes ---

function whatCell(change) {
  const cell = make("td", words.sectors[change.sector] ?? words.categories[change.category] ?? change.type);
  const why = [words.reasons[change.reason ?? change.kind] ?? change.reason ?? change.kind];
  if (change.pilot_model) why.push(`${words.models[change.pilot_model] ?? change.pilot_model}, ${nameOf(change.district)}`);
  if (change.reverses) why.push(words.reversed);
  cell.append(make("span", why.join(" · "), { class: "why" }));
  return cell;
}

function changeRow(change, withAgency) {
  const row = make("tr"), agency = make("td");
  if (withAgency) {
    const link = make("a", nameOf(change.agency), { href: `/v1/agencies/${encodeURIComponent(change.agency)}`, "data-agency": change.agency });
    agency.append(link);
  } else agency.append(nameOf(change.source));
  const amount = change.delta === undefined ? `${number(change.units_before)} → ${number(change.units_after)}` : number(change.delta, true);
  row.append(make("td", date(change.effective_date)), agency, whatCell(change), make("td", amount, { class: "n" }), make("td", change.decision ?? "–"));
  return row;
}

const loadChanges = seldom(REST_MS, async () => {
  const { changes } = await ask(`/v1/changes?limit=${CHANGES}`);
  const focused = document.activeElement?.dataset?.agency;
  find("changes").replaceChildren(...changes.map((change) => changeRow(change, true)));
  if (focused) find("changes").querySelector(`[data-agency="${CSS.escape(focused)}"]`)?.focus();
});

async function loadNames() {
  const { agencies } = await ask("/v1/agencies");
  for (const { id, name } of agencies) if (name) known.names.set(id, name);
  const options = agencies.map(({ id }) => make("option", nameOf(id), { value: id }));
  options.sort((one, other) => one.textContent.localeCompare(other.textContent, language));
  find("agency").append(...options);
  find("agency-label").hidden = false;
}

async function openAgency(id) {
  const dialog = find("dialog"), body = find("dialog-body");
  find("dialog-title").textContent = nameOf(id);
  body.replaceChildren();
  if (!dialog.open) dialog.showModal();
  try {
    const { agency: { headcount }, changes } = await ask(`/v1/agencies/${encodeURIComponent(id)}`);
    const list = make("dl", undefined, { class: "figures" });
    for (const [word, text] of [[words.baseline, number(headcount.baseline)], [words.now, number(headcount.current)],
      [words.reduction, number(headcount.reduction)], [words.percent, percent(headcount.reduction_percent)]]) {
      const part = make("div");
      part.append(make("dt", word), make("dd", text));
      list.append(part);
    }
    const table = make("table", undefined, { class: "events" }), rows = make("tbody"), head = make("thead"), line = make("tr");
    for (const word of [words.effective, words.source, words.what, words.number, words.decision])
      line.append(make("th", word, { scope: "col", class: word === words.number ? "n" : "" }));
    head.append(line);
    rows.append(...changes.map((change) => changeRow(change, false)));
    table.append(head, rows);
    body.replaceChildren(list, changes.length ? table : make("p", words.none, { class: "empty" }));
  } catch {
    body.replaceChildren(make("p", words.failed, { class: "empty" }));
  }
}

// --- timeline ---

function drawHistory() {
  const measure = find("measure").value, box = find("chart"), points = known.points;
  if (!points) return;
  const form = measure === "reduction_percent" ? percent : (value) => number(Number(value), measure.startsWith("units_change"));
  if (!available()) { // built without the library: the server's image stays
  } else if (!points.some((point) => point.value !== null)) {
    box.replaceChildren(make("p", words.nothing, { class: "empty" }));
  } else {
    draw(box, points, form, { label: words.chart, date, bars: measure === "visits",
      goal: measure === "reduction_percent" ? { value: 10, date: "2021-12-31", text: words.goal } : null });
  }
  find("history-measure").textContent = find("chart-measure").textContent = find("measure").selectedOptions[0].textContent;
  const rows = points.filter((point, place) => point.value !== null && point.value !== points[place - 1]?.value).reverse();
  find("history-rows").replaceChildren(...rows.slice(0, 200).map((point) => {
    const row = make("tr");
    row.append(make("td", date(point.date)), make("td", form(point.value), { class: "n" }));
    return row;
  }));
}

async function readHistory() {
  const measure = find("measure").value;
  let history = await ask(`/v1/history?measure=${measure}&step=month`);
  if ((Date.parse(history.to) - Date.parse(history.from)) / 864e5 < FEW_DAYS) history = await ask(`/v1/history?measure=${measure}&step=day`);
  if (measure !== find("measure").value) return;
  known.points = history.points;
  find("timeline").hidden = available();
  find("chart").hidden = find("measure-label").hidden = !available();
  drawHistory();
}
const loadHistory = seldom(HISTORY_MS, readHistory);

// --- the whole ---

let lost = 0;
function onState({ totals, live }) {
  find("live").dataset.live = live ? "yes" : "no";
  find("live-text").textContent = live ? words.live : words.waiting;
  clearTimeout(lost);
  if (live) find("lost").hidden = true;
  else lost = setTimeout(() => { find("lost").hidden = false; }, LOST_MS);
  if (!totals) return;
  show(totals);
  if (known.version === totals.as_of.version) return;
  known.version = totals.as_of.version;
  loadChanges();
  loadHistory();
}

find("measure").addEventListener("change", () => readHistory().catch(() => {}));
find("agency").addEventListener("change", ({ target }) => target.value && openAgency(target.value).finally(() => { target.value = ""; }));
find("changes").addEventListener("click", (event) => {
  const link = event.target.closest("[data-agency]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openAgency(link.dataset.agency);
});
find("close").addEventListener("click", () => find("dialog").close());
await loadNames().catch(() => {});
follow(location.origin, onState);
