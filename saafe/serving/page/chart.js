"use strict";
// Curves of the last two hours as SVG: one function for a card's small one, one for a large one.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...inner) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  one.append(...inner);
  return one;
}

// The pieces of a curve between gaps, as SVG paths; points beside a gap stay visible as dots.
function paths(values, x, y, floor) {
  let line = "", area = "", from = null, last = null;
  values.forEach((value, k) => {
    if (value === null) {
      if (from !== null) area += `L${x(last)} ${floor}L${x(from)} ${floor}Z`;
      from = null;
      return;
    }
    const point = `${x(k).toFixed(1)} ${y(value).toFixed(1)}`;
    line += (from === null ? "M" : "L") + point;
    area += (from === null ? "M" : "L") + point;
    if (from === null) { from = k; if (values[k + 1] == null) line += "h.5"; }
    last = k;
  });
  if (from !== null) area += `L${x(last)} ${floor}L${x(from)} ${floor}Z`;
  return { line, area };
}

function smallCurve(values, highest) {
  const width = 280, height = 40;
  const x = (k) => (k / Math.max(values.length - 1, 1)) * width;
  const y = (value) => height - 2 - (Math.min(value, highest) / highest) * (height - 4);
  const { line, area } = paths(values, x, y, height);
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    shape("path", { class: "area", d: area }), shape("path", { class: "curve", d: line }));
}

function niceRange(values, leastSpan) {
  let low = Math.min(...values), high = Math.max(...values);
  const missing = leastSpan - (high - low);
  if (missing > 0) { low -= missing / 2; high += missing / 2; }
  if (low < 0 && Math.min(...values) >= 0) { high -= low; low = 0; }
  const step = 10 ** Math.floor(Math.log10((high - low) / 2));
  const nice = [1, 2, 5, 10].map((n) => n * step).find((n) => (high - low) / n <= 4);
  return { low: Math.floor(low / nice) * nice, high: Math.ceil(high / nice) * nice, step: nice };
}

const clockText = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const numberText = (value) => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString() : String(+value.toFixed(2));

// A figure with a title, the newest value, axes, and the value under the pointer.
function chart({ title, unit, values, times, leastSpan }) {
  const known = values.filter((value) => value !== null);
  const width = 420, height = 150, left = 44, bottom = 20, top = 8;
  const { low, high, step } = niceRange(known.length ? known : [0], leastSpan);
  const x = (k) => left + (k / (times.length - 1)) * (width - left);
  const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
  const newest = [...values].reverse().find((value) => value !== null);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.setAttribute("aria-label", known.length
    ? `${title}: now ${numberText(newest)} ${unit}; over two hours ${numberText(Math.min(...known))} to ${numberText(Math.max(...known))} ${unit}`
    : `${title}: nothing known`);
  for (let value = low; value <= high + step / 2; value += step) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }),
      shape("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, numberText(value)));
  }
  for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    const k = Math.round(share * (times.length - 1));
    svg.append(shape("text", { x: x(k), y: height - 4, "text-anchor": anchor }, clockText(times[k])));
  }
  const { line, area } = paths(values, x, y, y(low));
  svg.append(shape("path", { class: "area", d: area }), shape("path", { class: "curve", d: line }));
  const mark = shape("g", { visibility: "hidden" }, shape("line", { class: "mark", y1: top, y2: height - bottom }), shape("circle", { class: "spot", r: 4 }));
  svg.append(mark);

  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  figure.className = "chart";
  const name = document.createElement("span"), value = document.createElement("b");
  const show = (text) => { value.textContent = text; };
  const now = newest === undefined ? "–" : `${numberText(newest)} ${unit}`;
  name.textContent = title;
  show(now);
  caption.append(name, value);
  figure.append(caption, svg);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width * width - left) / (width - left);
    const k = Math.max(0, Math.min(times.length - 1, Math.round(share * (times.length - 1))));
    if (values[k] === null) return;
    mark.setAttribute("visibility", "visible");
    mark.firstChild.setAttribute("x1", x(k)); mark.firstChild.setAttribute("x2", x(k));
    mark.lastChild.setAttribute("cx", x(k)); mark.lastChild.setAttribute("cy", y(values[k]));
    show(`${numberText(values[k])} ${unit} · ${clockText(times[k])}`);
  });
  svg.addEventListener("pointerleave", () => { mark.setAttribute("visibility", "hidden"); show(now); });
  return figure;
}
