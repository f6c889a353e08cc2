// Runs JavaScript against Chromium for pytest: each line of input is {code, argument, options}, each line of output {value} or {error}.
// `code` sees page, context, argument, axe (its source) and notes: what went wrong on the page or left it for another host.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.CITYTOTALS_BROWSER_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CITYTOTALS_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const AsyncFunction = (async () => {}).constructor;
let context = null, page = null, notes = null;

async function fresh(options) {
  await context?.close();
  context = await browser.newContext({ locale: "vi-VN", timezoneId: "Asia/Ho_Chi_Minh", bypassCSP: false, ...options });
  context.setDefaultTimeout(30e3);
  notes = { errors: [], hosts: [] };
  const watched = notes;
  context.on("console", (message) => ["error", "warning"].includes(message.type()) && watched.errors.push(message.text()));
  context.on("weberror", (error) => watched.errors.push(String(error.error())));
  context.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && !watched.hosts.includes(host)) watched.hosts.push(host);
  });
  page = await context.newPage();
}

for await (const line of createInterface({ input: process.stdin })) {
  const { code, argument, options } = JSON.parse(line);
  let answer;
  try {
    if (options || !context) await fresh(options ?? {});
    const value = await new AsyncFunction("page", "context", "argument", "axe", "notes", code)(page, context, argument, axe, notes);
    answer = { value: value ?? null };
  } catch (error) {
    answer = { error: String(error.stack) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
