// Two elements that any page embeds with two lines:
//   <script type="module" src="https://SERVER/widget.js"></script>
//   <city-visitors></city-visitors> or <city-reduction></city-reduction>
// Their language is the nearest lang attribute's, else Vietnamese. All numbers come from one shared stream.
import { follow } from "./stream.js";
import { speaker } from "./words.js";

const SERVER = new URL(import.meta.url).origin;
const GAUGE_MOST = 12;
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: inline-block; vertical-align: top; min-width: 14rem; box-sizing: border-box; padding: .8rem 1rem; border: 1px solid #c9d4df; border-radius: .6rem;
  background: #fff; color: #14273b; font: 400 .95rem/1.5 system-ui, "Noto Sans", "Segoe UI", sans-serif; }
:host([hidden]) { display: none; }
h2 { margin: 0 0 .3rem; font-size: 1em; }
dl { margin: 0; }
div { display: flex; justify-content: space-between; gap: 1.5rem; padding: .15rem 0; }
dd { margin: 0; font-weight: 650; font-variant-numeric: tabular-nums; }
.big { font-size: 1.7em; font-weight: 700; font-variant-numeric: tabular-nums; margin: 0; }
p { margin: .2rem 0 0; }
svg { display: block; width: 100%; height: .9rem; margin: .2rem 0; }
.rail { fill: #dfe7ee; } .reached { fill: #0b6b50; } .mark { stroke: #a23b12; stroke-width: 2; }
:host([data-live="no"]) dd, :host([data-live="no"]) .big { opacity: .75; }
@media (prefers-color-scheme: dark) {
  :host { background: #13202d; color: #e8eff6; border-color: #3a4d60; }
  .rail { fill: #2c3d4e; } .reached { fill: #3fbf93; } .mark { stroke: #ffab7d; }
}`);

function make(name, text, attributes = {}) {
  const svg = ["svg", "rect", "path"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
}

class CityElement extends HTMLElement {
  connectedCallback() {
    this.speak = speaker(this.closest("[lang]")?.lang || "vi");
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.replaceChildren(...this.build());
    this.dataset.live = "no";
    this.end = follow(SERVER, ({ totals, live }) => {
      this.dataset.live = live && !totals?.as_of.stale ? "yes" : "no";
      if (totals) this.show(totals);
    });
  }

  disconnectedCallback() {
    this.end?.();
  }
}

class CityVisitors extends CityElement {
  build() {
    const { words } = this.speak;
    this.cells = {};
    const list = make("dl");
    for (const [field, word] of [["online", "online"], ["today", "today"], ["this_week", "week"], ["all", "all"]]) {
      const row = make("div");
      this.cells[field] = make("dd", "–");
      row.append(make("dt", words[word]), this.cells[field]);
      list.append(row);
    }
    return [make("h2", words.visits), list];
  }

  show({ visitors }) {
    for (const [field, cell] of Object.entries(this.cells)) cell.textContent = this.speak.number(visitors[field]);
  }
}

class CityReduction extends CityElement {
  build() {
    const { words } = this.speak;
    this.value = make("p", "–", { class: "big" });
    this.bar = make("rect", "", { class: "reached", width: 0, height: 12, rx: 3 });
    const image = make("svg", "", { viewBox: "0 0 240 12", preserveAspectRatio: "none", "aria-hidden": "true" });
    image.append(make("rect", "", { class: "rail", width: 240, height: 12, rx: 3 }), this.bar, make("path", "", { class: "mark", d: "M200 0V12" }));
    return [make("h2", words.payroll), this.value, image, make("p", words.goal)];
  }

  show({ headcount }) {
    this.value.textContent = this.speak.percent(headcount.reduction_percent);
    const part = Number(headcount.reduction_percent ?? 0) / GAUGE_MOST;
    this.bar.setAttribute("width", Math.max(0, Math.min(1, part)) * 240);
  }
}

if (!customElements.get("city-visitors")) {
  customElements.define("city-visitors", CityVisitors);
  customElements.define("city-reduction", CityReduction);
}
