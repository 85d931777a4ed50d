// Plots over time, as SVG.

import { h, s, set, attr } from "./dom.js";
import { clock } from "./words.js";

// spark is a small plot without axes. values below 0 are gaps.
export function spark(container, values, label, kind = "wait") {
  const W = 120, H = 28;
  if (!container.svg) {
    container.area = s("path", { class: "area" });
    container.line = s("path", { class: "line" });
    container.svg = s("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", class: `spark ${kind}` }, container.area, container.line);
    container.append(container.svg);
  }
  const shown = thin(values.slice(-300), W);
  const top = Math.max(1, ...shown) * 1.1;
  const x = (i) => (shown.length < 2 ? W : (i / (shown.length - 1)) * W);
  const y = (v) => H - 2 - (v / top) * (H - 4);
  const { line, area } = paths(shown, x, y, H);
  attr(container.line, "d", line);
  attr(container.area, "d", area);
  attr(container.svg, "aria-label", label);
}

// thin keeps the largest of each stretch, so that a peak is seen at any width.
function thin(values, most) {
  const size = Math.ceil(values.length / most);
  if (size <= 1) return values;
  const out = [];
  for (let i = values.length; i > 0; i -= size) out.unshift(Math.max(...values.slice(Math.max(i - size, 0), i)));
  return out;
}

function paths(values, x, y, floor) {
  let line = "", area = "", start = -1;
  values.forEach((v, i) => {
    if (v < 0) return;
    const gap = i === 0 || values[i - 1] < 0;
    if (gap) start = i;
    const p = `${x(i).toFixed(1)},${y(v).toFixed(1)}`;
    line += (gap ? "M" : "L") + p;
    area += gap ? `M${x(i).toFixed(1)},${floor}L${p}` : `L${p}`;
    if (i === values.length - 1 || values[i + 1] < 0) area += `L${x(i).toFixed(1)},${floor}Z`;
  });
  return { line, area, start };
}

// Chart is a plot with axes. What is under the pointer, or under the cursor that the arrow keys move, is told.
export class Chart {
  constructor(container, title, format) {
    this.format = format;
    this.title = title;
    this.box = container;
    this.cursor = -1;
    this.svg = s("svg", { role: "img", tabindex: "0", class: "plot" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.said = h("p", { class: "unseen", "aria-live": "polite" });
    container.append(this.svg, this.tip, this.said);
    this.svg.addEventListener("pointermove", (e) => this.point(this.at(e.clientX)));
    this.svg.addEventListener("pointerleave", () => this.point(-1));
    this.svg.addEventListener("blur", () => this.point(-1));
    this.svg.addEventListener("keydown", (e) => this.key(e));
    new ResizeObserver(() => this.draw()).observe(container);
  }

  // show draws series {name, kind, values, area} over times, and shades where down is true.
  show(times, series, down) {
    Object.assign(this, { times, series, down });
    this.draw();
  }

  at(clientX) {
    const { left } = this.svg.getBoundingClientRect();
    const i = Math.round(((clientX - left - this.left) / (this.w - this.left - this.right)) * (this.times.length - 1));
    return Math.min(Math.max(i, 0), this.times.length - 1);
  }

  key(e) {
    const n = this.times?.length ?? 0;
    if (!n) return;
    const from = this.cursor < 0 ? n - 1 : this.cursor;
    const to = { ArrowLeft: from - 5, ArrowRight: from + 5, Home: 0, End: n - 1, Escape: -1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    this.point(e.key === "Escape" ? -1 : Math.min(Math.max(to, 0), n - 1));
    if (this.cursor >= 0) set(this.said, this.tell(this.cursor));
  }

  tell(i) {
    return `${clock(this.times[i])}: ${this.series.map((v) => `${v.name} ${this.format(Math.max(v.values[i], 0))}`).join(", ")}${this.down[i] ? ", no NATS" : ""}`;
  }

  point(i) {
    this.cursor = i;
    this.draw();
  }

  draw() {
    if (!this.times?.length) return;
    const w = (this.w = Math.max(this.box.clientWidth, 200)), H = (this.h = 190);
    const left = (this.left = 44), right = (this.right = 8), top = 10, bottom = 24;
    const n = this.times.length;
    const max = nice(Math.max(1, ...this.series.flatMap((v) => v.values)) * 1.08);
    const x = (i) => left + (n < 2 ? 1 : i / (n - 1)) * (w - left - right);
    const y = (v) => H - bottom - (v / max) * (H - top - bottom);
    const parts = [];
    for (const [a, b] of stretches(this.down)) {
      parts.push(s("rect", { class: "outage", x: x(a), y: top, width: Math.max(x(Math.min(b, n - 1)) - x(a), 2), height: H - top - bottom }));
      if (x(Math.min(b, n - 1)) - x(a) > 54) parts.push(s("text", { class: "tick outage-word", x: (x(a) + x(Math.min(b, n - 1))) / 2, y: top + 12, "text-anchor": "middle" }, "no NATS"));
    }
    for (const f of [0, 0.5, 1]) {
      parts.push(s("line", { class: "grid", x1: left, x2: w - right, y1: y(max * f), y2: y(max * f) }));
      parts.push(s("text", { class: "tick", x: left - 7, y: y(max * f) + 4, "text-anchor": "end" }, this.format(max * f)));
    }
    const span = this.times[n - 1] - this.times[0];
    const steps = w < 420 ? 2 : 4;
    for (let k = 0; k <= steps && span > 0; k++) {
      const ago = Math.round((span * (1 - k / steps)) / 1000);
      const word = k === steps ? "now" : ago >= 120 ? `−${Math.round(ago / 60)} min` : `−${ago} s`;
      parts.push(s("text", { class: "tick", x: left + (k / steps) * (w - left - right), y: H - 6, "text-anchor": k === 0 ? "start" : k === steps ? "end" : "middle" }, word));
    }
    for (const v of this.series) {
      const { line, area } = paths(v.values, x, y, H - bottom);
      if (v.area) parts.push(s("path", { class: `area ${v.kind}`, d: area }));
      parts.push(s("path", { class: `line ${v.kind}`, d: line }));
    }
    if (this.cursor >= 0 && this.cursor < n) {
      const i = this.cursor;
      parts.push(s("line", { class: "cursor", x1: x(i), x2: x(i), y1: top, y2: H - bottom }));
      for (const v of this.series) if (v.values[i] >= 0) parts.push(s("circle", { class: `dot ${v.kind}`, cx: x(i), cy: y(v.values[i]), r: 3.5 }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${w} ${H}`);
    this.svg.setAttribute("width", w);
    this.svg.setAttribute("height", H);
    this.svg.replaceChildren(...parts);
    attr(this.svg, "aria-label", `${this.title}, last ${Math.round(span / 60000) || 1} minutes. Now ${this.tell(n - 1)}. Arrow keys read earlier values.`);
    this.drawTip(x, w);
  }

  drawTip(x, w) {
    const i = this.cursor;
    this.tip.hidden = i < 0 || i >= this.times.length;
    if (this.tip.hidden) return;
    this.tip.replaceChildren(h("b", null, clock(this.times[i])), ...this.series.map((v) =>
      h("span", { class: `key ${v.kind}` }, `${v.name} ${this.format(Math.max(v.values[i], 0))}`)), ...(this.down[i] ? [h("span", { class: "key down" }, "no NATS")] : []));
    this.tip.style.left = `${Math.min(Math.max(x(i) - 70, 4), w - 150)}px`;
  }
}

// nice is the next number above that reads well on an axis.
function nice(v) {
  const p = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 3, 4, 6, 8, 10].find((m) => m * p >= v) * p;
}

function stretches(flags) {
  const out = [];
  flags.forEach((f, i) => {
    if (f && !flags[i - 1]) out.push([i, i + 1]);
    else if (f) out[out.length - 1][1] = i + 1;
  });
  return out;
}
