// A line or bars over time as SVG, drawn by hand: the pointer and the arrow keys move a cursor that reads the points out.
const SVG = "http://www.w3.org/2000/svg";
const TICKS = 5;
const DAY_MS = 864e5;

function make(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const day = (text) => Date.parse(text) / DAY_MS;

function roundStep(span, whole) { // 1, 2 or 5 of a power of ten
  const rough = Math.max(span / TICKS, whole ? 1 : 1e-4);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((times) => times * power >= rough * 0.999);
}

function calendarTicks(from, to, width, room) { // years, months or days, each in so many pixels
  const most = Math.max(2, Math.floor(width / room));
  const first = new Date(from * DAY_MS);
  const year = first.getUTCFullYear();
  const span = to - from;
  const ticks = [];
  const add = (time, label) => { if (time / DAY_MS >= from && time / DAY_MS <= to) ticks.push([time / DAY_MS, label]); };
  if (span > 730) {
    const step = Math.ceil(span / 365 / most);
    for (let at = year; at <= year + span / 365 + 1; at += step) add(Date.UTC(at, 0, 1), String(at));
  } else if (span > 60) {
    const step = Math.ceil(span / 30 / most);
    for (let at = first.getUTCMonth(); at <= first.getUTCMonth() + span / 28 + 1; at += step)
      add(Date.UTC(year, at, 1), new Date(Date.UTC(year, at, 1)).toISOString().slice(0, 7));
  } else {
    const step = Math.max(1, Math.ceil(span / most));
    for (let at = from; at <= to; at += step) add(at * DAY_MS, new Date(at * DAY_MS).toISOString().slice(5, 10));
  }
  return ticks;
}

// points: [{ date, value }], value null where nothing is known; show(value) writes one; options: { bars, goal: { value, date, text }, label }
export function draw(box, points, show, options) {
  const known = points.filter((point) => point.value !== null);
  const width = Math.max(260, box.clientWidth);
  const height = Math.round(Math.max(220, Math.min(width * 0.36, innerHeight * 0.5)));
  const { goal, bars } = options;
  const values = known.map((point) => Number(point.value));
  let low = Math.min(...values, goal ? 0 : Infinity), high = Math.max(...values, goal ? goal.value : -Infinity);
  if (bars || low > 0 && low < (high - low)) low = Math.min(0, low);
  const step = roundStep(high - low || Math.abs(high) * 0.1 || 1, !goal);
  low = Math.floor(low / step) * step;
  high = Math.ceil((high + step * 0.3) / step) * step;
  const from = day(points[0].date) - (points.length === 1 ? 1 : 0);
  const to = Math.max(day(points.at(-1).date), goal?.date ? day(goal.date) + 30 : -Infinity);
  const ticks = [];
  for (let at = low; at <= high + step / 2; at += step) ticks.push(at);
  const tick = (value) => show(goal ? String(Number(value.toFixed(4))) : Math.round(value));
  const em = parseFloat(getComputedStyle(box).fontSize) * 0.8; // the style sheet's size of the chart's text
  const left = 14 + em * 0.62 * Math.max(...ticks.map((value) => tick(value).length)), right = 16, top = 16, bottom = em * 2.2;
  const x = (at) => left + (at - from) / (to - from || 1) * (width - left - right);
  const y = (value) => top + (high - value) / (high - low || 1) * (height - top - bottom);

  const image = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "slider", "aria-label": options.label,
    "aria-valuemin": 0, "aria-valuemax": known.length - 1 });
  for (const value of ticks) {
    image.append(make("path", { class: "grid", d: `M${left} ${y(value)}H${width - right}` }));
    image.append(make("text", { x: left - 8, y: y(value) + em / 3, "text-anchor": "end" }, tick(value)));
  }
  for (const [at, label] of calendarTicks(from, to, width - left - right, em * 5.2))
    image.append(make("text", { x: x(at), y: height - em / 2, "text-anchor": x(at) > width - em * 3 ? "end" : "middle" }, label));
  const spots = known.map((point) => [x(day(point.date)), y(Number(point.value))]);
  if (bars) {
    const wide = Math.max(2, Math.min(40, (width - left - right) / (known.length + 1) * 0.7));
    for (const [at, level] of spots)
      image.append(make("rect", { class: "bar", x: Math.min(at - wide / 2, width - right - wide), y: level, width: wide, height: y(Math.max(0, low)) - level }));
  } else {
    const path = spots.map(([at, level], place) => place ? `H${at}V${level}` : `M${at} ${level}`).join("");
    if (low === 0) image.append(make("path", { class: "area", d: `${path}V${y(0)}H${spots[0][0]}Z` })); // filled from zero or not at all
    image.append(make("path", { class: "line", d: path }));
  }
  if (goal) {
    image.append(make("path", { class: "goal-line", d: `M${left} ${y(goal.value)}H${width - right}` }));
    image.append(make("text", { class: "goal-text", x: left + 6, y: y(goal.value) - 7 }, goal.text));
    if (goal.date && day(goal.date) >= from)
      image.append(make("path", { class: "goal-line", d: `M${x(day(goal.date))} ${top}V${height - bottom}` }));
  }
  const cursor = make("path", { class: "cursor", d: "" }), spot = make("circle", { class: "spot", r: 5 });
  const tipBox = make("rect", { class: "tip-box", height: em * 1.9, rx: 5 }), tip = make("text", { class: "tip" });
  const over = make("g", { visibility: "hidden" });
  over.append(cursor, tipBox, tip);
  image.append(over, spot);
  let place = known.length - 1;
  const move = (to, shown) => {
    place = Math.max(0, Math.min(known.length - 1, to));
    const [at, level] = spots[place];
    const text = `${options.date(known[place].date)}: ${show(known[place].value)}`;
    spot.setAttribute("cx", at);
    spot.setAttribute("cy", level);
    image.setAttribute("aria-valuenow", place);
    image.setAttribute("aria-valuetext", text);
    over.setAttribute("visibility", shown ? "visible" : "hidden");
    cursor.setAttribute("d", `M${at} ${top}V${height - bottom}`);
    tip.textContent = text;
    const long = (tip.getComputedTextLength?.() || text.length * em) + em;
    const begin = Math.max(left, Math.min(at + 10, width - right - long)), above = Math.max(top, level - em * 2.6);
    for (const [node, dx, dy] of [[tipBox, 0, 0], [tip, em / 2, em * 1.35]]) {
      node.setAttribute("x", begin + dx);
      node.setAttribute("y", above + dy);
    }
    tipBox.setAttribute("width", long);
  };
  image.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: place - 1, ArrowDown: place - 1, ArrowRight: place + 1, ArrowUp: place + 1, PageUp: place + 12, PageDown: place - 12,
      Home: 0, End: known.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to, true);
  });
  image.addEventListener("pointermove", (event) => {
    const at = (event.clientX - image.getBoundingClientRect().left) * width / image.getBoundingClientRect().width;
    const distance = spots.map(([where]) => Math.abs(where - at));
    move(distance.indexOf(Math.min(...distance)), true);
  });
  image.addEventListener("pointerleave", () => move(known.length - 1, false));
  image.addEventListener("focus", () => image.matches(":focus-visible") && move(place, true));
  image.addEventListener("blur", () => move(known.length - 1, false));
  const focused = box.contains(document.activeElement);
  box.replaceChildren(image);
  move(known.length - 1, false);
  if (focused) image.focus();
}
