// The picture of who sends to whom, as seen from this node.

import { s, attr } from "./dom.js";
import { count, plural, rate, span } from "./words.js";

// How many nodes are drawn on one side, on a wide and on a narrow screen; the rest is summed up.
const MOST = 8, MOST_NARROW = 4;

// sides splits the peers into those that this node gets messages from and those that read its channels. One that does
// both stands with the readers; replies alone make no reader.
function sides(peers, most) {
  const from = [], to = [];
  for (const p of peers) {
    if (p.in && !p.reads) from.push(p);
    else to.push(p);
  }
  return [fold(from, most), fold(to, most)];
}

function fold(list, most) {
  if (list.length <= most) return list;
  const order = [...list].sort((a, b) => b.queued - a.queued || b.flow - a.flow);
  const rest = order.slice(most - 1);
  const sum = (f) => rest.reduce((n, p) => n + f(p), 0);
  return [...order.slice(0, most - 1), { node: `${rest.length} more nodes`, online: rest.some((p) => p.online), folded: true, queued: sum((p) => p.queued),
    flow: sum((p) => p.flow), out: rest.some((p) => p.out), in: rest.some((p) => p.in), outRate: sum((p) => p.outRate), inRate: sum((p) => p.inRate), channels: [], oldest: 0 }];
}

// draw draws self {node, connected, troubles, handlers, dead} and peers {node, online, state, in, out, queued, oldest,
// inRate, outRate, channels} into a container.
export function draw(container, self, peers) {
  const width = Math.max(container.clientWidth, 280);
  const tall = width < 640;
  const [from, to] = sides(peers.map((p) => ({ ...p, flow: p.inRate + p.outRate })), tall ? MOST_NARROW : MOST);
  const layout = tall ? stack(width, from, to, self) : spread(width, from, to, self);
  const svg = s("svg", { viewBox: `0 0 ${width} ${layout.height}`, width, height: layout.height, role: "img", "aria-label": tell(self, peers) });
  svg.append(s("defs", null, marker("arrow-flow"), marker("arrow-wait"), marker("arrow-down"), marker("arrow-idle")));
  for (const l of layout.lines) svg.append(...line(l, self.connected));
  svg.append(...center(layout.self, self));
  for (const b of layout.boxes) svg.append(box(b, self.connected));
  if (!peers.length) svg.append(s("text", { class: "t-note", x: layout.note.x, y: layout.note.y, "text-anchor": "middle" }, "no other node heard yet"));
  container.replaceChildren(svg);
}

function marker(id) {
  return s("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 12, markerHeight: 12, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse", class: id }, s("path", { d: "M0,0.5L7.5,4L0,7.5Z" }));
}

function selfHeight(self) {
  return 74 + Math.min(self.handlers.length, 4) * 26 + (self.handlers.length ? 6 : 0);
}

// spread lays out in three columns: writers, this node, readers.
function spread(width, from, to, self) {
  const bw = Math.min(190, width * 0.22), bh = 58, gap = 18, sw = Math.min(230, width * 0.28), sh = selfHeight(self);
  const rows = Math.max(from.length, to.length, 1);
  const height = Math.max(rows * (bh + gap) - gap, sh) + 24;
  const sx = from.length ? (width - sw) / 2 : to.length ? width * 0.18 : (width - sw) / 2;
  const me = { x: sx, y: (height - sh) / 2, w: sw, h: sh };
  const boxes = [], lines = [];
  const column = (list, x, dir) => {
    const y0 = (height - (list.length * (bh + gap) - gap)) / 2;
    list.forEach((p, i) => {
      const b = { p, x, y: y0 + i * (bh + gap), w: bw, h: bh };
      boxes.push(b);
      const both = p.in && p.out;
      const spreadY = (k) => me.y + me.h / 2 + (k - (list.length - 1) / 2) * Math.min(22, (me.h - 20) / Math.max(list.length, 1));
      const far = dir > 0 ? b.x : b.x + b.w, near = dir > 0 ? me.x + me.w : me.x;
      const ya = spreadY(i), yb = b.y + b.h / 2;
      const curve = (d, flip) => {
        const m = (near + far) / 2;
        return flip ? `M${far},${yb + d}C${m},${yb + d} ${m},${ya + d} ${near},${ya + d}` : `M${near},${ya + d}C${m},${ya + d} ${m},${yb + d} ${far},${yb + d}`;
      };
      const lx = far - dir * 14, anchor = dir > 0 ? "end" : "start"; // at the peer's end, where the lines are level
      if (p.out) lines.push({ p, out: true, d: curve(both ? -8 : 0, false), lx, anchor, ly: yb - (both ? 16 : 8) });
      if (p.in) lines.push({ p, out: false, d: curve(both ? 8 : 0, true), lx, anchor, ly: yb + (both ? 24 : -8) });
    });
  };
  column(from, 4, -1);
  column(to, width - bw - 4, 1);
  return { height, self: me, boxes, lines, note: { x: width / 2, y: me.y + me.h + 22 > height ? height - 4 : me.y + me.h + 20 } };
}

// stack lays out from top to bottom, two nodes a row, for narrow screens.
function stack(width, from, to, self) {
  const gap = 12, bw = (width - gap - 8) / 2, bh = 58, lane = 74, sh = selfHeight(self), sw = Math.min(width - 8, 260);
  const boxes = [], lines = [];
  const height = { v: 4 };
  const rows = (list, y) => list.map((p, i) => {
    const alone = i === list.length - 1 && i % 2 === 0;
    return { p, x: alone ? (width - bw) / 2 : 4 + (i % 2) * (bw + gap), y: y + Math.floor(i / 2) * (bh + 44), w: bw, h: bh };
  });
  const above = rows(from, height.v);
  if (above.length) height.v = above[above.length - 1].y + bh + lane;
  const me = { x: (width - sw) / 2, y: height.v, w: sw, h: sh };
  height.v += sh;
  const below = rows(to, height.v + lane);
  if (below.length) height.v = below[below.length - 1].y + bh;
  const connect = (b, up) => {
    const cx = me.x + me.w / 2, bx = b.x + b.w / 2, ax = cx + (bx - cx) * 0.4;
    const y1 = up ? b.y + b.h : me.y + me.h, y2 = up ? me.y : b.y, m = (y1 + y2) / 2;
    const both = b.p.in && b.p.out;
    const curve = (d, towardSelf) => {
      const [x1, x2] = up ? [bx, ax] : [ax, bx];
      const path = [[x1 + d, y1], [x1 + d, m], [x2 + d, m], [x2 + d, y2]];
      if (towardSelf !== up) path.reverse();
      return `M${path[0]}C${path[1]} ${path[2]} ${path[3]}`;
    };
    const ly = up ? y1 + 30 : y2 - 26;
    if (b.p.out) lines.push({ p: b.p, out: true, d: curve(both ? -7 : 0, false), lx: bx + (both ? -14 : 8), ly, anchor: both ? "end" : "start" });
    if (b.p.in) lines.push({ p: b.p, out: false, d: curve(both ? 7 : 0, true), lx: bx + (both ? 14 : 8), ly, anchor: "start" });
  };
  above.forEach((b) => connect(b, true));
  below.forEach((b) => connect(b, false));
  return { height: height.v + (boxes.length ? 4 : 26), self: me, boxes: [...above, ...below], lines, note: { x: width / 2, y: height.v + 18 } };
}

// state of a line: what a glance should tell.
function state(l, connected) {
  if (!connected || !l.p.online) return "down";
  if (l.out && l.p.queued > 0 && l.p.outRate === 0) return "wait";
  return (l.out ? l.p.outRate : l.p.inRate) > 0 ? "flow" : "idle";
}

function line(l, connected) {
  const st = state(l, connected);
  const speed = l.out ? l.p.outRate : l.p.inRate;
  const words = [];
  if (speed > 0 && st !== "down") words.push(`${rate(speed)}/s`);
  if (l.out && l.p.queued > 0) words.push(`${count(l.p.queued)} waiting`);
  const pace = speed > 200 ? "fast" : speed > 20 ? "brisk" : "slow";
  const out = [s("path", { class: `t-line ${st}`, d: l.d, "marker-end": `url(#arrow-${st})` })];
  if (st === "flow") {
    const drops = s("path", { class: `t-flow ${pace}`, d: l.d });
    drops.style.animationDelay = `-${performance.now()}ms`; // the picture is drawn anew every second: go on where the last one was
    out.push(drops);
  }
  const text = words.join(" · ");
  const x = l.anchor === "end" ? Math.max(l.lx, text.length * 6.9 + 4) : l.lx; // not beyond the left edge
  if (text) out.push(s("text", { class: `t-label ${l.out && l.p.queued > 0 ? st : ""}`, x, y: l.ly, "text-anchor": l.anchor }, text));
  return out;
}

function box({ p, x, y, w, h }, connected) {
  const mood = p.folded || (!connected && p.online) ? "folded" : !p.online ? "down" : p.state && p.state !== "ok" ? "warn" : "ok";
  const what = p.folded ? "" : !connected && p.online ? `heard ${span(p.heard ?? 0)} ago` : !p.online ? (p.heard == null ? "not heard yet" : `silent for ${span(p.heard)}`) : p.state && p.state !== "ok" ? p.state : p.channels.join(", ") || "online";
  return s("g", { class: `t-box ${mood}`, transform: `translate(${x},${y})` },
    s("rect", { width: w, height: h, rx: 12 }),
    s("circle", { class: "t-dot", cx: 18, cy: 22, r: 4.5 }),
    s("text", { class: "t-name", x: 31, y: 26.5 }, clip(p.node, (w - 40) / 8)),
    s("text", { class: "t-sub", x: 18, y: 45 }, clip(what, (w - 26) / 6.4)),
    s("title", null, `${p.node}: ${what}`));
}

function center({ x, y, w, h }, self) {
  const ill = self.troubles.length > 0;
  const g = s("g", { class: `t-self ${ill ? "warn" : "ok"}`, transform: `translate(${x},${y})` },
    s("rect", { class: "t-halo", x: -6, y: -6, width: w + 12, height: h + 12, rx: 20 }),
    s("rect", { width: w, height: h, rx: 15 }),
    s("text", { class: "t-name big", x: w / 2, y: 31, "text-anchor": "middle" }, clip(self.node, (w - 24) / 11.5)),
    s("text", { class: "t-sub", x: w / 2, y: 52, "text-anchor": "middle" }, self.connected ? "this node · NATS connected" : "this node · no NATS, storing"));
  self.handlers.slice(0, 4).forEach((hd, i) => {
    const more = i === 3 && self.handlers.length > 4;
    g.append(s("g", { class: `t-handler ${hd.failing && !more ? "warn" : ""}`, transform: `translate(14,${68 + i * 26})` },
      s("rect", { width: w - 28, height: 21, rx: 7 }),
      s("text", { x: 10, y: 15 }, more ? `${self.handlers.length - 3} more handlers` : `ƒ ${clip(hd.name, (w - 110) / 7)}`),
      s("text", { x: w - 38, y: 15, "text-anchor": "end", class: "t-sub" }, more ? "" : `${rate(hd.rate ?? 0)}/s`)));
  });
  return [g];
}

const clip = (text, most) => (text.length > most ? text.slice(0, Math.max(most - 1, 1)) + "…" : text);

function tell(self, peers) {
  const head = `Node ${self.node}, ${self.connected ? "connected to NATS" : "without NATS"}, ${plural(peers.length, "other node")}.`;
  return head + peers.slice(0, 20).map((p) => ` ${p.node} is ${p.online ? "online" : "offline"}` +
    (p.out ? `, sent to, ${plural(p.queued, "message")} waiting` : "") + (p.in ? ", sends to this node" : "") + ".").join("");
}
