"use strict";
// The page: what the service's own interface says, and nothing from anywhere else.

const LIST_MS = 5000, RETRY_MS = 3000, ANSWER_MS = 10_000, SILENT_MS = 40_000, KEPT_EVENTS = 100; // of each kind
const MARKS = { alarm: "▲", warning: "◆", fault: "✕", calm: "●", acknowledged: "✓" };
const WORDS = { alarm: "Alarm", warning: "Warning", fault: "Fault", calm: "Calm", acknowledged: "Acknowledged" };
const OLDER_S = 60; // a reading that is so much older than the space's newest says its own age
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

class Lost extends Error {} // nobody answers, or it is not saafe, as a proxy before one that has gone

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...options, headers: { ...headers, ...options.headers } })
    .catch((error) => { throw new Lost(error.message); });
  if (answer.status === 401) { showLogin(); throw new Error("a token is needed"); }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw error ? Object.assign(new Error(error), { status: answer.status }) : new Lost(`answer ${answer.status}`);
}
const askJson = async (path, options) => (await ask(path, options)).json();

function showLogin() {
  byId("wrong").textContent = sessionStorage.getItem("token") ? "This token is wrong." : "";
  if (byId("login").hidden) { byId("login").hidden = false; byId("token").focus(); }
  for (const id of ["lost", "list", "detail", "raised", "log"]) byId(id).hidden = true;
}

// --- showing

const chosen = () => { const found = location.hash.match(/^#\/space\/(.+)$/); return found ? decodeURIComponent(found[1]) : null; };
const link = (space) => `#/space/${encodeURIComponent(space)}`;
const pill = (state) => make("span", { className: `pill ${state}` }, make("span", { ariaHidden: "true" }, MARKS[state] + " "), WORDS[state]);
const url = (space, rest = "") => `/spaces/${encodeURIComponent(space)}${rest}`;

function ageText(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 2 * 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
}

// A moment, with its date where that is not today.
function timeText(seconds) {
  const time = new Date(seconds * 1000), clock = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return time.toDateString() === new Date().toDateString() ? clock : `${time.toLocaleDateString()}, ${clock}`;
}

// "acknowledged" stands for calm: a fault or a warning meanwhile is shown as such.
const shownState = (space) => space.hushed_until_s && space.state === "calm" ? "acknowledged" : space.state;

function quietText(space) {
  return space.hushed_until_s && space.state !== "alarm" ? `Acknowledged, quiet until ${clockText(space.hushed_until_s)}` : "";
}

function readingItem(one, space, isOneOfSeveral) {
  const isOlder = one.ago_s > space.heard_ago_s + OLDER_S;
  const more = [isOneOfSeveral ? one.sensor : "", isOlder ? ageText(one.ago_s) : ""].filter(Boolean).join(", ");
  return make("li", {}, `${nameText(one.channel)} `, make("b", {}, `${numberText(one.value)} ${unitText(one.unit)}`), more ? ` (${more})` : "");
}

function card(space) {
  const state = shownState(space), areSeveral = new Set(space.readings.map((one) => one.sensor)).size > 1;
  const readings = space.readings.slice(0, 8).map((one) => readingItem(one, space, areSeveral));
  if (space.readings.length > 8) readings.push(make("li", {}, `${space.readings.length - 8} more`));
  const about = make("span", { className: "hint", title: byId("about-risk").textContent }, "% risk of fire");
  const risk = make("div", { className: "risk" }, make("b", {}, numberText(space.risk)), about,
    make("span", { className: "hint age" }, space.heard_s ? ageText(space.heard_ago_s) : "no reading yet"));
  const quiet = quietText(space), lines = quiet ? [make("p", { className: "acknowledged" }, quiet)] : [];
  const one = make("a", { className: `card ${state}`, href: link(space.space) },
    make("div", { className: "top" }, make("span", { className: "name" }, space.space), pill(state)),
    ...lines, risk, smallCurve(space.risk_curve, 100), make("ul", { className: "readings" }, ...readings));
  one.dataset.key = `space ${space.space}`;
  return make("li", {}, one);
}

// Put new children in place, and the focus back where it was.
function renew(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  parent.replaceChildren(...children);
  if (focused) [...parent.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
}

const countText = (count, state) => `${count} ${state}${count > 1 && ["alarm", "warning", "fault"].includes(state) ? "s" : ""}`;

function showCounts({ counts, acknowledged }) {
  const all = { ...counts, calm: counts.calm - acknowledged, acknowledged };
  const parts = ["alarm", "warning", "acknowledged", "fault", "calm"].filter((state) => all[state]).map((state) => countText(all[state], state));
  byId("counts").textContent = parts.join(" · ") || "no spaces yet";
  document.title = counts.alarm ? `▲ ${countText(counts.alarm, "alarm")} · saafe` : "saafe";
}

const MOST_BANNERS = 5, shownAlarms = new Map();
function showAlarms(spaces, count) {
  const alarms = spaces.filter((space) => space.state === "alarm").slice(0, MOST_BANNERS);
  const keys = alarms.map(alarmKey);
  for (const [key, one] of shownAlarms) if (!keys.includes(key)) { one.remove(); shownAlarms.delete(key); }
  for (const space of alarms) {
    if (shownAlarms.has(alarmKey(space))) continue; // a screen reader says each once
    const one = banner(space);
    byId("alarms").append(one);
    shownAlarms.set(alarmKey(space), one);
  }
  const more = count - alarms.length;
  byId("more-alarms").hidden = more <= 0;
  byId("more-alarms").firstChild.textContent = `${more} more in alarm`;
}

const alarmKey = (space) => `${space.alarm_time_s} ${space.space}`;

function banner(space) {
  const button = make("button", { type: "button" }, "Acknowledge");
  button.setAttribute("aria-label", `Acknowledge the alarm of ${space.space}`);
  button.addEventListener("click", () => acknowledge(space.space, button));
  const what = [`sensor ${space.alarm}`, CAUSES[space.alarm_cause] ?? space.alarm_cause].filter(Boolean).join(", ");
  const since = space.alarm_time_s ? `since ${timeText(space.alarm_time_s)}, ` : "";
  return make("div", { className: "banner" }, make("span", { ariaHidden: "true" }, "▲"),
    make("span", {}, "Fire alarm: ", make("a", { href: link(space.space) }, space.space), make("span", { className: "detail" }, ` ${since}${what}`)), button);
}

async function showList() {
  const like = byId("like").value.trim();
  const found = await askJson(`/spaces?limit=60&like=${encodeURIComponent(like)}`);
  byId("login").hidden = true;
  byId("log").hidden = false;
  byId("list").hidden = chosen() !== null;
  showCounts(found);
  showAlarms(like ? (await askJson("/spaces?limit=10")).spaces : found.spaces, found.counts.alarm);
  renew(byId("cards"), found.spaces.length ? found.spaces.map(card) : [nothing(like)]);
  byId("more").textContent = found.total > found.spaces.length ? `${found.spaces.length} of ${found.total} are shown, the most urgent first. Search to see others.` : "";
}

function nothing(like) {
  if (like) return make("li", { className: "empty" }, `No space is called “${like}”.`);
  const token = sessionStorage.getItem("token")?.replaceAll("'", "'\\''");
  const who = token ? `  -H 'Authorization: Bearer ${token}' \\\n` : "";
  const example = `curl -H 'Content-Type: application/json' \\\n${who}  -d '{"space": "kitchen", "temperature": 21.5, "pm25": 7}' \\\n  ${location.origin}/readings`;
  return make("li", { className: "empty" }, make("p", {}, "No readings yet. Start it with --mqtt, or send one:"), make("pre", {}, example));
}

let opened = null;
async function showDetail() {
  const name = chosen();
  byId("detail").hidden = name === null;
  byId("list").hidden = name !== null || !byId("login").hidden;
  if (name === null) { opened = null; return; }
  const [space, past] = await Promise.all([askJson(url(name)), askJson(url(name, "/history"))])
    .catch((error) => { if (error.status !== 404) throw error; return [null, null]; });
  if (name !== chosen()) return;
  byId("detail-title").textContent = name;
  byId("forget").hidden = space === null;
  if (space === null) showNoSpace(); else showSpace(space, past);
  if (opened !== name) { opened = name; byId("detail-title").focus(); }
}

// Of a mistyped or an old link, or of one that was taken away meanwhile.
function showNoSpace() {
  for (const id of ["detail-state", "detail-faults", "charts"]) byId(id).replaceChildren();
  byId("detail-line").textContent = "No such space.";
}

function showSpace(space, past) {
  byId("detail-state").replaceChildren(pill(shownState(space)));
  const quiet = quietText(space);
  byId("detail-line").textContent = (quiet ? `${quiet}. ` : "") + (space.heard_s ? `Last reading ${ageText(space.heard_ago_s)}, ${timeText(space.heard_s)}. The last two hours:` : "No reading yet.");
  const faults = space.faults.map((one) => make("li", {}, `Sensor ${one.sensor}, ${nameText(one.channel)}: ${one.reason}`));
  byId("detail-faults").replaceChildren(...(faults.length ? [make("ul", { className: "faults", ariaLabel: "Faults" }, ...faults)] : []));
  const several = new Set(past.channels.map((one) => one.sensor)).size > 1;
  const curves = [{ title: nameText("risk"), unit: "%", values: past.risk, leastSpan: SPANS.risk },
    ...past.channels.map((one) => ({ title: nameText(one.channel) + (several ? ` · ${one.sensor}` : ""), unit: unitText(one.unit), values: one.values, leastSpan: SPANS[one.channel] }))];
  if (!byId("charts").matches(":hover")) byId("charts").replaceChildren(...(past.times_s.length ? curves.map((one) => chart({ ...one, times: past.times_s })) : []));
}

async function forget() {
  const name = chosen();
  if (!confirm(`Take “${name}” away, with its events and readings? A sensor that still sends brings it back.`)) return;
  try { await ask(url(name), { method: "DELETE" }); location.hash = "#/"; }
  catch (error) { trouble(error.message); }
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

function row(event, again = "") {
  const kind = { alarm: "alarm", clear: "calm", warning: "warning", fault: "fault", restored: "calm" }[event.event] ?? "calm";
  const cells = [make("time", { dateTime: event.time }, timeText(event.time_s)), make("a", { href: link(event.space) }, event.space),
    make("span", { className: `pill ${kind}` }, event.event), whatText(event) + again];
  return make("tr", { role: "row" }, ...cells.map((cell) => make("td", { role: "cell" }, cell)));
}

// A fault of one channel that comes again and again is one line, so that it hides nothing else.
const AGAIN = 3;
function rows(newestFirst) {
  const same = new Map();
  for (const event of newestFirst.filter((one) => one.reason)) {
    const key = JSON.stringify([event.space, event.sensor, event.channel, event.reason]);
    same.set(key, [...(same.get(key) ?? []), event]);
  }
  const lines = new Map(); // what is said beside the newest event of many; of the others nothing
  for (const events of same.values()) {
    const faults = events.filter((event) => event.event === "fault");
    if (faults.length < AGAIN) continue;
    for (const event of events) lines.set(event, null);
    lines.set(events[0], `, ${faults.length} times since ${timeText(faults.at(-1).time_s)}`);
  }
  return newestFirst.filter((event) => lines.get(event) !== null).map((event) => row(event, lines.get(event)));
}

function newestOfEachKind(events) {
  const count = {};
  return events.reverse().filter(([, { event }]) => (count[event] = (count[event] ?? 0) + 1) <= KEPT_EVENTS).reverse();
}

// Those of the space that is chosen, or of all; by number, for the same may come twice.
let lastEvent = 0, listed = new Map(), listedOf, listedOn = "";
async function showEvents() {
  const name = chosen(), today = new Date().toDateString();
  if (listedOf === name && listedOn === today) return;
  if (listedOf !== name || listedOn) listed = new Map();
  listedOf = name, listedOn = "";
  const events = await askJson(`/events?newest=true&each_kind=true&limit=${KEPT_EVENTS}${name === null ? "" : `&space=${encodeURIComponent(name)}`}`);
  if (name !== chosen()) return;
  const late = [...listed.values()]; // which came while it was asked
  listed = new Map(), listedOn = today;
  addEvents([...events.reverse(), ...late]);
}

function addEvents(events) {
  for (const event of events) {
    lastEvent = Math.max(lastEvent, event.id ?? 0);
    if (listedOf === null || listedOf === event.space) listed.set(event.id ?? `${event.time} ${event.space} ${event.event}`, event);
  }
  listed = new Map(newestOfEachKind([...listed]));
  byId("events").replaceChildren(...rows([...listed.values()].reverse()));
}

function trouble(text) { byId("trouble").textContent = text; byId("trouble").hidden = !text; }

async function refresh() {
  try {
    await showList();
    await showDetail();
    await showEvents();
    const health = await fetch("/health", { signal: AbortSignal.timeout(ANSWER_MS) }).then((answer) => answer.json());
    trouble(health.troubles.join(" · "));
    await showRaised(health.keeps_days);
    linkState(true);
  } catch (error) {
    if (error instanceof Lost) linkState(false);
    else if (byId("login").hidden) trouble(error.message);
  }
}

// --- listening

let heardAt = new Date();
function linkState(isUp) {
  byId("link").className = `dot ${isUp ? "live" : "lost"}`;
  byId("link").textContent = isUp ? "live" : "connection lost, trying again";
  document.body.classList.toggle("stale", !isUp);
  if (isUp) heardAt = new Date();
  else if (byId("lost").hidden) byId("lost").textContent = `Connection lost. What you see is of ${timeText(heardAt / 1000)}; no alarm shows here until saafe answers again.`;
  byId("lost").hidden = isUp;
}

// Events as they come; by fetch, for EventSource cannot carry a token.
async function listen() {
  for (;;) {
    try {
      const [newest] = lastEvent ? [] : await askJson("/events?newest=true&limit=1");
      lastEvent ||= newest?.id ?? 0;
      const ending = new AbortController(); // it says every 15 s that it is there
      const unlessSilent = (promise) => { const end = setTimeout(() => ending.abort(), SILENT_MS); return promise.finally(() => clearTimeout(end)); };
      const answer = await unlessSilent(ask("/events/stream", { headers: lastEvent ? { "Last-Event-ID": lastEvent } : {}, signal: ending.signal }));
      await readStream(answer.body.pipeThrough(new TextDecoderStream()).getReader(), unlessSilent);
    } catch { /* tried again below */ }
    if (byId("login").hidden) refresh(); // which shows whether saafe is still there
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

async function readStream(reader, unlessSilent) {
  for (let rest = ""; ;) {
    const { value, done } = await unlessSilent(reader.read());
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
byId("forget").addEventListener("click", forget);
let typing = 0;
byId("like").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refresh, 200); });
window.addEventListener("hashchange", () => { takeToken(); refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, LIST_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
listen();
