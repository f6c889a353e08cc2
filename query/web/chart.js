// A line or bars over time by Chart.js (/vendor/chart.js). A canvas says nothing to a screen reader and takes no focus, so the box around
// it is a slider: the arrow keys move through the points, and each is read out.
const DAY_MS = 864e5;
const PRINTED = { line: "#0b5d47", soft: "#333", grid: "#999", goal: "#8a2c0d", card: "#fff", ink: "#000" };
const day = (text) => Date.parse(text) / DAY_MS;
const plots = new WeakMap();

export const available = () => globalThis.Chart !== undefined;

function calendarTicks(from, to, width, room) { // years, months or days, each in so many pixels
  const most = Math.max(2, Math.floor(width / room));
  const first = new Date(from * DAY_MS);
  const year = first.getUTCFullYear();
  const span = to - from;
  const ticks = [];
  const add = (time, label) => { if (time / DAY_MS >= from && time / DAY_MS <= to) ticks.push({ value: time / DAY_MS, name: label }); };
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

function colours(box, printing) {
  const style = getComputedStyle(box), of = (name) => style.getPropertyValue(name).trim();
  const font = { family: style.fontFamily, size: parseFloat(style.fontSize) * 0.8 };
  if (printing) return { ...PRINTED, font };
  return { line: of("--main"), soft: of("--soft"), grid: of("--line"), goal: of("--mark"), card: of("--card"), ink: of("--ink"), font };
}

function datasets(known, { bars, goal }, from, to, colour) {
  const data = known.map((point) => ({ x: day(point.date), y: Number(point.value) }));
  const zero = data.every(({ y }) => y >= 0) && (goal || bars); // filled from zero or not at all
  const lines = [{ type: bars ? "bar" : "line", data, borderColor: colour.line, backgroundColor: bars ? `${colour.line}c0` : `${colour.line}24`,
    borderWidth: bars ? 0 : 2.5, stepped: "after", fill: zero ? "origin" : false, pointRadius: data.map((_, place) => place === data.length - 1 ? 4 : 0),
    pointBackgroundColor: colour.line, pointHoverRadius: 6, pointHitRadius: 0, maxBarThickness: 40, grouped: false }];
  const dashed = { type: "line", borderColor: colour.goal, borderWidth: 2, borderDash: [6, 5], pointRadius: 0, pointHoverRadius: 0, fill: false };
  if (goal) lines.push({ ...dashed, data: [{ x: from, y: goal.value }, { x: to, y: goal.value }] });
  if (goal && day(goal.date) >= from) lines.push({ ...dashed, data: [{ x: day(goal.date), y: 0 }, { x: day(goal.date), y: 1e3 }] });
  return lines;
}

function goalText(goal, colour) { // above the dashed line, at its beginning
  return { id: "goal-text", afterDatasetsDraw({ ctx, chartArea, scales }) {
    ctx.save();
    ctx.fillStyle = colour.goal;
    ctx.font = `650 ${colour.font.size}px ${colour.font.family}`;
    ctx.fillText(goal.text, chartArea.left + 6, scales.y.getPixelForValue(goal.value) - 7);
    ctx.restore();
  } };
}

function config(known, show, options, colour, from, to) {
  const { bars, goal } = options, values = known.map((point) => Number(point.value)), most = Math.max(...values, goal?.value ?? -Infinity);
  const whole = (value) => goal ? show(String(Number(value.toFixed(4)))) : Number.isInteger(value) ? show(value) : "";
  const vertical = { ticks: { color: colour.soft, font: colour.font, maxTicksLimit: 7, callback: whole, ...goal ? {} : { precision: 0 } },
    grid: { color: colour.grid, borderColor: colour.grid, drawTicks: false }, border: { color: colour.grid }, beginAtZero: Boolean(goal || bars), grace: "8%" };
  if (goal && most <= 12) vertical.ticks.stepSize = 2;
  if (goal) vertical.max = Math.ceil(most * 0.55) * 2; // an even number over the goal and the line
  return {
    type: "line",
    data: { datasets: datasets(known, options, from, to, colour) },
    plugins: goal ? [goalText(goal, colour)] : [],
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, events: ["mousemove", "mouseout", "touchstart", "touchmove"],
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: { type: "linear", min: from, max: to, grid: { display: false }, border: { color: colour.grid }, offset: bars, ticks: { color: colour.soft, font: colour.font, maxRotation: 0, autoSkip: false,
            callback: (_, place, ticks) => ticks[place].name },
          afterBuildTicks: (axis) => { axis.ticks = calendarTicks(from, to, axis.chart.width, colour.font.size * 5.2); } },
        y: vertical,
      },
      plugins: {
        legend: { display: false },
        tooltip: { filter: ({ datasetIndex }) => datasetIndex === 0, displayColors: false, backgroundColor: colour.card, borderColor: colour.soft, borderWidth: 1,
          bodyColor: colour.ink, bodyFont: { ...colour.font, weight: 650 }, padding: 8,
          callbacks: { title: () => "", label: ({ dataIndex }) => `${options.date(known[dataIndex].date)}: ${show(known[dataIndex].value)}` } },
      },
    },
  };
}

class Plot {
  constructor(box) {
    this.box = box;
    this.slider = document.createElement("div");
    this.slider.className = "plot";
    this.slider.id = `${box.id}-slider`;
    this.slider.tabIndex = 0;
    this.slider.setAttribute("role", "slider");
    this.slider.addEventListener("keydown", (event) => this.key(event));
    this.slider.addEventListener("focus", () => this.slider.matches(":focus-visible") && this.move(this.place, true));
    this.slider.addEventListener("blur", () => this.move(this.known.length - 1, false));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    addEventListener("beforeprint", () => this.draw(true));
    addEventListener("afterprint", () => this.draw());
  }

  show(points, show, options) {
    this.points = points;
    this.known = points.filter((point) => point.value !== null);
    this.say = show;
    this.options = options;
    this.slider.setAttribute("aria-label", options.label);
    this.slider.setAttribute("aria-valuemin", 0);
    this.slider.setAttribute("aria-valuemax", this.known.length - 1);
    if (this.slider.parentNode !== this.box) this.box.replaceChildren(this.slider);
    this.draw();
  }

  draw(printing = false) {
    if (!this.slider.isConnected) return;
    const { points, options } = this, { goal } = options;
    const from = day(points[0].date) - (points.length === 1 ? 1 : 0);
    const to = Math.max(day(points.at(-1).date), goal?.date ? day(goal.date) + 30 : -Infinity);
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    this.chart?.destroy();
    this.slider.replaceChildren(canvas);
    this.chart = new globalThis.Chart(canvas, config(this.known, this.say, options, colours(this.box, printing), from, to));
    this.move(this.known.length - 1, this.slider.matches(":focus-visible") && !printing);
  }

  move(to, shown) {
    const { known, slider, chart } = this;
    this.place = Math.max(0, Math.min(known.length - 1, to));
    slider.setAttribute("aria-valuenow", this.place);
    slider.setAttribute("aria-valuetext", `${this.options.date(known[this.place].date)}: ${this.say(known[this.place].value)}`);
    const active = shown ? [{ datasetIndex: 0, index: this.place }] : [];
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
    chart.update("none");
  }

  key(event) {
    const { place } = this;
    const to = { ArrowLeft: place - 1, ArrowDown: place - 1, ArrowRight: place + 1, ArrowUp: place + 1, PageUp: place + 12, PageDown: place - 12,
      Home: 0, End: this.known.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.move(to, true);
  }
}

// points: [{ date, value }], value null where nothing is known, at least one that is; show(value) writes one;
// options: { bars, goal: { value, date, text }, label, date(text) }
export function draw(box, points, show, options) {
  if (!plots.has(box)) plots.set(box, new Plot(box));
  plots.get(box).show(points, show, options);
}
