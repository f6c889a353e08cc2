// One live stream a browser: of all tabs and widgets of a site one holds the connection and tells the others.
// follow(server, tell) calls tell({ totals, live }) at once when something is known, and after each change; it returns a function
// that ends it. Without the Web Locks API (a page that is not secure) each page has a connection of its own.
const BEAT_MS = 10e3;
const SILENCE_MS = 150e3; // a frozen tab beats no more; timers of hidden tabs run once a minute
const RETRY_MS = 5e3;
const hubs = new Map();

class Hub {
  constructor(server) {
    this.server = server;
    this.tellers = new Set();
    this.last = null;
    this.source = null;
    this.shared = "BroadcastChannel" in globalThis && navigator.locks !== undefined;
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", (event) => event.persisted && this.tellers.size && this.start());
  }

  start() {
    this.over = new AbortController();
    if (!this.shared) return this.open();
    this.channel = new BroadcastChannel(`citytotals ${this.server}`);
    this.channel.onmessage = ({ data }) => this.heard(data);
    this.heardAt = Date.now();
    this.timer = setInterval(() => this.beat(), BEAT_MS);
    this.channel.postMessage("hello");
    this.lead(false);
  }

  stop() {
    this.over?.abort();
    this.release?.();
    clearInterval(this.timer);
    clearTimeout(this.retry);
    this.channel?.close();
    this.close();
  }

  lead(steal) { // waits until nobody else leads, or takes the place of one that is silent
    const over = this.over;
    navigator.locks.request(`citytotals ${this.server}`, steal ? { steal } : { signal: over.signal }, () => new Promise((resolve) => {
      this.release = resolve;
      if (over.signal.aborted) resolve();
      else this.open();
    })).catch(() => { // another one took the place
      this.close();
      if (!over.signal.aborted) this.lead(false);
    });
  }

  beat() {
    if (this.source) this.channel.postMessage("beat");
    else if (Date.now() - this.heardAt > SILENCE_MS) {
      this.heardAt = Date.now();
      this.lead(true);
    }
  }

  heard(message) {
    this.heardAt = Date.now();
    if (message === "hello") {
      if (this.source && this.last) this.channel.postMessage(this.last);
    } else if (message !== "beat" && !this.source) this.say(message);
  }

  open() {
    this.source = new EventSource(`${this.server}/v1/stream`);
    this.source.addEventListener("totals", ({ data }) => this.spread({ totals: JSON.parse(data), live: true }));
    this.source.addEventListener("goodbye", () => this.spread({ totals: this.last?.totals ?? null, live: false }));
    this.source.addEventListener("error", () => {
      this.spread({ totals: this.last?.totals ?? null, live: false });
      if (this.source?.readyState !== EventSource.CLOSED) return; // it comes back by itself
      this.retry = setTimeout(() => { if (this.source) this.open(); }, RETRY_MS * (1 + Math.random()));
    });
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  spread(message) {
    this.say(message);
    if (this.shared) this.channel.postMessage(message);
  }

  say(message) {
    this.last = message;
    for (const tell of this.tellers) tell(message);
  }
}

export function follow(server, tell) {
  const hub = hubs.get(server) ?? new Hub(server);
  hubs.set(server, hub);
  hub.tellers.add(tell);
  if (hub.tellers.size === 1) hub.start();
  else if (hub.last) tell(hub.last);
  return () => {
    hub.tellers.delete(tell);
    if (hub.tellers.size === 0) {
      hub.stop();
      hub.last = null;
    }
  };
}
