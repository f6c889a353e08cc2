// The upload page: the chosen file is checked by a dry run, and sent when every row is right. The token is kept by nobody.
"use strict";

const FAULTS_MOST = 200;
const SIZE_MOST = 1 << 20;
const part = (id) => document.getElementById(id);
const words = part("words").dataset;
let checked = null; // the bytes that the last dry run found good

const say = (text, numbers = {}) => text.replace(/\{(\w)\}/g, (all, name) => numbers[name] ?? all);

function show(text, good, faults = []) {
  part("result").hidden = false;
  part("said").textContent = text;
  part("said").className = good === null ? "" : good ? "good" : "bad";
  part("rows").replaceChildren(...faults.slice(0, FAULTS_MOST).map((fault) => {
    const row = document.createElement("tr");
    for (const value of [fault.line ?? "", fault.field ?? "", fault.detail]) {
      const cell = document.createElement("td");
      cell.textContent = value;
      row.append(cell);
    }
    row.lastChild.lang = "en";
    return row;
  }));
  part("faults").hidden = faults.length === 0;
  part("more").hidden = faults.length <= FAULTS_MOST;
  part("more").textContent = say(words.more, { n: faults.length - FAULTS_MOST });
  if (good !== null) part("result").focus();
}

function busy(on) {
  part("check").disabled = on;
  part("send").disabled = on || !checked;
}

async function ask(query, bytes) {
  return fetch(`/v1/events${query}`, {
    method: "POST", body: bytes, cache: "no-store", credentials: "omit",
    headers: { "Content-Type": "text/csv", "Authorization": `Bearer ${part("token").value.trim()}` },
  });
}

// Of an answer that took nothing: what to say.
async function refused(answer) {
  const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
  if (answer.status === 401) return show(words.token, false);
  if (answer.status === 429 || answer.status === 503) return show(say(words.later, { s: answer.headers.get("Retry-After") ?? 5 }), false);
  const line = /line (\d+)/.exec(problem.detail);
  show(words.unreadable, false, problem.errors ?? [{ line: line?.[1], detail: problem.detail }]);
}

function verdict(said) {
  const faults = said.records.filter((record) => record.status === "refused")
    .flatMap((record) => (record.errors ?? [{ field: null, detail: "…" }]).map((error) => ({ line: record.line, ...error })));
  const numbers = { n: said.valid ?? said.accepted, r: said.repeats, f: said.refused };
  const repeats = said.repeats ? ` ${say(words.repeats, numbers)}` : "";
  if (said.refused) return show(say(words.refused, numbers), false, faults);
  if (!said.records.length) return show(words.none, false);
  show(say(said.dry_run ? words.valid : words.sent, numbers) + repeats, true);
}

async function run(query, working, bytes, done) {
  busy(true);
  show(working, null);
  try {
    const answer = await ask(query, bytes);
    if (answer.status === 200 || answer.status === 207) {
      const said = await answer.json();
      done(said);
      verdict(said);
    } else {
      await refused(answer);
    }
  } catch {
    show(words.lost, false);
  }
  busy(false);
}

part("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  checked = null;
  const file = part("file").files[0];
  if (file.size > SIZE_MOST) {
    busy(false);
    return show(words.large, false);
  }
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch { // it was changed since it was chosen
    busy(false);
    return show(words.unreadable, false);
  }
  await run("?dry_run=true", words.working, bytes, (said) => {
    checked = said.refused === 0 && said.valid > 0 ? bytes : null;
  });
});

part("send").addEventListener("click", () => run("", words.sending, checked, () => { checked = null; }));

for (const id of ["file", "token"])
  part(id).addEventListener("input", () => {
    checked = null;
    busy(false);
    part("result").hidden = true;
    part("said").textContent = part("said").className = ""; // of another file, or another's token
  });
