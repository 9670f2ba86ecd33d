"use strict";
// The page: what the service's own interface says, and nothing from anywhere else.

const LIST_MS = 5000, RETRY_MS = 3000, KEPT_EVENTS = 100;
const MARKS = { alarm: "▲", warning: "◆", fault: "✕", calm: "●" };
const WORDS = { alarm: "Alarm", warning: "Warning", fault: "Fault", calm: "Calm" };
const NAMES = { temperature: "Temperature", pm25: "PM2.5", co2: "CO₂", sound: "Sound", co: "CO", humidity: "Humidity", risk: "Risk of fire", all: "all channels" };
const UNITS = { degC: "°C", "ug/m3": "µg/m³" };
const SPANS = { temperature: 2, pm25: 20, co2: 100, sound: 10, co: 5, humidity: 5, risk: 10 };
const CAUSES = { model: "by the model", heat: "heat rule", rate_of_rise: "rate of rise", co_dose: "CO dose", acknowledged: "acknowledged" };
const byId = (id) => document.getElementById(id);
const unitText = (unit) => UNITS[unit] ?? unit;
const nameText = (channel) => NAMES[channel] ?? channel;

function make(name, properties = {}, ...inner) {
  const one = Object.assign(document.createElement(name), properties);
  one.append(...inner);
  return one;
}

// --- asking

function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    sessionStorage.setItem("token", found);
    history.replaceState(null, "", location.pathname + "#/");
  }
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  if (answer.status === 401) { showLogin(); throw new Error("a token is needed"); }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `answer ${answer.status}`);
  return answer;
}
const askJson = async (path, options) => (await ask(path, options)).json();

function showLogin() {
  byId("wrong").textContent = sessionStorage.getItem("token") ? "This token is wrong." : "";
  if (byId("login").hidden) { byId("login").hidden = false; byId("token").focus(); }
  for (const id of ["list", "detail", "raised", "log"]) byId(id).hidden = true;
}

// --- showing

const chosen = () => { const found = location.hash.match(/^#\/space\/(.+)$/); return found ? decodeURIComponent(found[1]) : null; };
const link = (space) => `#/space/${encodeURIComponent(space)}`;
const pill = (state) => make("span", { className: `pill ${state}` }, make("span", { ariaHidden: "true" }, MARKS[state] + " "), WORDS[state]);
const url = (space, rest = "") => `/spaces/${encodeURIComponent(space)}${rest}`;

function card(space) {
  const readings = space.readings.slice(0, 8).map((one) => make("li", {}, `${nameText(one.channel)} `, make("b", {}, `${numberText(one.value)} ${unitText(one.unit)}`)));
  const risk = make("div", { className: "risk" }, make("b", {}, numberText(space.risk)), make("span", { className: "hint" }, "% risk of fire"));
  const one = make("a", { className: `card ${space.state}`, href: link(space.space) },
    make("div", { className: "top" }, make("span", { className: "name" }, space.space), pill(space.state)),
    risk, smallCurve(space.risk_curve, 100), make("ul", { className: "readings" }, ...readings));
  one.dataset.key = `space ${space.space}`;
  return make("li", {}, one);
}

// Put new children in place, and the focus back where it was.
function renew(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  parent.replaceChildren(...children);
  if (focused) [...parent.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
}

function showCounts({ counts }) {
  const parts = Object.entries(counts).filter(([, count]) => count).map(([state, count]) => `${count} ${state}`);
  byId("counts").textContent = parts.join(" · ") || "no spaces yet";
  document.title = counts.alarm ? `▲ ${counts.alarm} alarm · saafe` : "saafe";
}

const shownAlarms = new Map();
function showAlarms(spaces) {
  const alarms = spaces.filter((space) => space.state === "alarm").slice(0, 5);
  const names = alarms.map((space) => space.space);
  for (const [name, one] of shownAlarms) if (!names.includes(name)) { one.remove(); shownAlarms.delete(name); }
  for (const space of alarms) {
    if (shownAlarms.has(space.space)) continue; // a screen reader says each once
    const button = make("button", { type: "button" }, "Acknowledge");
    button.setAttribute("aria-label", `Acknowledge the alarm of ${space.space}`);
    button.addEventListener("click", () => acknowledge(space.space, button));
    const one = make("div", { className: "banner" }, make("span", { ariaHidden: "true" }, "▲"),
      make("span", {}, "Fire alarm: ", make("a", { href: link(space.space) }, space.space)), button);
    byId("alarms").append(one);
    shownAlarms.set(space.space, one);
  }
}

async function showList() {
  const like = byId("like").value.trim();
  const found = await askJson(`/spaces?limit=60&like=${encodeURIComponent(like)}`);
  byId("login").hidden = true;
  byId("log").hidden = false;
  byId("list").hidden = chosen() !== null;
  showCounts(found);
  showAlarms(like ? (await askJson("/spaces?limit=10")).spaces : found.spaces);
  renew(byId("cards"), found.spaces.length ? found.spaces.map(card) : [nothing(like)]);
  byId("more").textContent = found.total > found.spaces.length ? `${found.spaces.length} of ${found.total} are shown, the most urgent first. Search to see others.` : "";
}

function nothing(like) {
  if (like) return make("li", { className: "empty" }, `No space is called “${like}”.`);
  const example = `curl -H 'Content-Type: application/json' \\\n  -d '{"space": "kitchen", "temperature": 21.5, "pm25": 7}' \\\n  ${location.origin}/readings`;
  return make("li", { className: "empty" }, make("p", {}, "No readings yet. Start it with --mqtt, or send one:"), make("pre", {}, example));
}

let opened = null;
async function showDetail() {
  const name = chosen();
  byId("detail").hidden = name === null;
  byId("list").hidden = name !== null || !byId("login").hidden;
  if (name === null) { opened = null; return; }
  const [space, past] = await Promise.all([askJson(url(name)), askJson(url(name, "/history"))]);
  if (name !== chosen()) return;
  byId("detail-title").textContent = name;
  byId("detail-state").replaceChildren(pill(space.state));
  byId("detail-line").textContent = space.heard_s ? `Last reading ${new Date(space.heard_s * 1000).toLocaleTimeString()}. The last two hours:` : "No reading yet.";
  const faults = space.faults.map((one) => make("li", {}, `Sensor ${one.sensor}, ${nameText(one.channel)}: ${one.reason}`));
  byId("detail-faults").replaceChildren(...(faults.length ? [make("ul", { className: "faults", ariaLabel: "Faults" }, ...faults)] : []));
  const several = new Set(past.channels.map((one) => one.sensor)).size > 1;
  const curves = [{ title: nameText("risk"), unit: "%", values: past.risk, leastSpan: SPANS.risk },
    ...past.channels.map((one) => ({ title: nameText(one.channel) + (several ? ` · ${one.sensor}` : ""), unit: unitText(one.unit), values: one.values, leastSpan: SPANS[one.channel] }))];
  if (!byId("charts").matches(":hover")) byId("charts").replaceChildren(...(past.times_s.length ? curves.map((one) => chart({ ...one, times: past.times_s })) : []));
  if (opened !== name) { opened = name; byId("detail-title").focus(); }
}

async function acknowledge(name, button) {
  button.disabled = true;
  try { await ask(url(name, "/acknowledge"), { method: "POST" }); await refresh(); }
  catch (error) { trouble(error.message); }
  finally { button.disabled = false; }
}

// Alarms and warnings of a service that keeps days, and what a person says of them.
const KEPT_MARKS = 50;
let shownMarks = "", isSaying = false;
async function showRaised(isKeeping) {
  byId("raised").hidden = !isKeeping || !byId("login").hidden;
  if (byId("raised").hidden) return;
  const name = chosen();
  const marks = (await askJson("/raised")).filter((one) => name === null || one.space === name).slice(0, KEPT_MARKS);
  byId("raised").hidden = !marks.length;
  const now = JSON.stringify(marks);
  if (now !== shownMarks) renew(byId("marks"), marks.map(markRow)); // a button stays while it is pressed
  shownMarks = now;
}

function markRow(one) {
  const isHarmless = one.was === "harmless", time = new Date(one.time).toLocaleString();
  const button = make("button", { type: "button" }, isHarmless ? "Not harmless" : "Harmless");
  button.setAttribute("aria-label", `${button.textContent}: ${one.event} of ${one.space}, ${time}`);
  button.dataset.key = `mark ${one.id}`;
  button.addEventListener("click", () => say(one, isHarmless ? "fire" : "harmless"));
  const said = { harmless: "It was harmless.", fire: "It was a fire." }[one.was] ?? "";
  return make("li", {}, pill(one.event), make("a", { href: link(one.space) }, one.space), make("time", { className: "hint", dateTime: one.time }, time), make("span", {}, said), button);
}

async function say(one, was) {
  if (isSaying) return; // a disabled button would lose the focus
  isSaying = true;
  try {
    await ask(`/raised/${one.id}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ was }) });
    await showRaised(true);
    byId("said").textContent = `The ${one.event} of ${one.space} was ${was === "fire" ? "a fire" : "harmless"}.`;
  } catch (error) { trouble(error.message); }
  finally { isSaying = false; }
}

function whatText(event) {
  if (event.event === "fault" || event.event === "restored") return `Sensor ${event.sensor}, ${nameText(event.channel)}: ${event.reason}`;
  return `Sensor ${event.sensor}, risk ${event.risk} %, ${CAUSES[event.cause] ?? event.cause}`;
}

let lastEvent = 0;
function row(event) {
  const time = new Date(event.time_s * 1000);
  const kind = { alarm: "alarm", clear: "calm", warning: "warning", fault: "fault", restored: "calm" }[event.event] ?? "calm";
  return make("tr", {}, make("td", {}, make("time", { dateTime: event.time, title: time.toLocaleString() }, time.toLocaleTimeString())),
    make("td", {}, make("a", { href: link(event.space) }, event.space)), make("td", {}, make("span", { className: `pill ${kind}` }, event.event)), make("td", {}, whatText(event)));
}

function addEvents(events) {
  for (const event of events) {
    if (event.id && event.id <= lastEvent) continue;
    lastEvent = event.id ?? lastEvent;
    byId("events").prepend(row(event));
  }
  while (byId("events").rows.length > KEPT_EVENTS) byId("events").lastChild.remove();
}

function trouble(text) { byId("trouble").textContent = text; byId("trouble").hidden = !text; }

async function refresh() {
  try {
    await showList();
    await showDetail();
    const health = await fetch("/health").then((answer) => answer.json());
    trouble(health.troubles.join(" · "));
    await showRaised(health.keeps_days);
  } catch (error) {
    if (error instanceof TypeError) linkState(false);
    else if (byId("login").hidden) trouble(error.message);
  }
}

// --- listening

function linkState(isUp) {
  byId("link").className = `dot ${isUp ? "live" : "lost"}`;
  byId("link").textContent = isUp ? "live" : "connection lost, trying again";
}

// Events as they come; by fetch, for EventSource cannot carry a token.
async function listen() {
  for (;;) {
    try {
      const newest = lastEvent ? await askJson(`/events?after=${lastEvent}&limit=${KEPT_EVENTS}`) : (await askJson(`/events?newest=true&limit=${KEPT_EVENTS}`)).reverse();
      addEvents(newest);
      const answer = await ask("/events/stream", { headers: lastEvent ? { "Last-Event-ID": lastEvent } : {} });
      linkState(true);
      await readStream(answer.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch { /* tried again below */ }
    if (byId("login").hidden) linkState(false);
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

async function readStream(reader) {
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    const events = parts.flatMap((part) => part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6))));
    if (events.length) { addEvents(events); refresh(); }
  }
}

// --- beginning

function setTheme(theme) { if (theme) document.documentElement.dataset.theme = theme; }

takeToken();
setTheme(localStorage.getItem("theme"));
byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  localStorage.setItem("theme", now === "dark" ? "light" : "dark");
  setTheme(localStorage.getItem("theme"));
});
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value.trim());
  refresh();
});
let typing = 0;
byId("like").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refresh, 200); });
window.addEventListener("hashchange", () => { takeToken(); refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, LIST_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
listen();
