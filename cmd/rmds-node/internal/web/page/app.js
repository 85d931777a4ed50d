// Asks the node once a second and shows what it says. One round at a time; a hidden page asks seldom.

import { $, attr, h, keep, set } from "./dom.js";
import { Chart, spark } from "./chart.js";
import { History } from "./history.js";
import { draw } from "./topology.js";
import * as sections from "./sections.js";
import { bytes, clock, count, plural, rate, since, span } from "./words.js";

const hist = new History();
const view = { status: null, events: [], dead: [], more: false, deadSeen: "", answered: 0, skew: 0, lost: false };
const waiting = new Chart($("chart-waiting"), "Messages waiting", count);
const rates = new Chart($("chart-rates"), "Messages per second", rate);

async function get(path) {
  const answer = await fetch(`api/v1/${path}`, { signal: AbortSignal.timeout(8000), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const date = Date.parse(answer.headers.get("Date"));
  if (Math.abs(date - Date.now()) > 5000) view.skew = date - Date.now(); // another clock than this device's
  return answer.json();
}

async function round() {
  const lastEvent = view.events.at(-1)?.id ?? 0;
  const [status, history, fresh] = await Promise.all([get("status"), get(`history?after=${hist.last}`), get(`events?after=${lastEvent}`)]);
  const restarted = view.status && view.status.run !== status.run;
  if (!hist.add(history)) hist.add(await get("history?after=0"));
  if (restarted) view.events = (await get("events?after=0")).events;
  else {
    const replaced = new Set(fresh.events.map((e) => e.first));
    view.events = [...view.events.filter((e) => !replaced.has(e.first)), ...fresh.events].slice(-300);
  }
  const seen = `${status.run} ${status.dead} ${status.dead_kept}`;
  if (seen !== view.deadSeen) {
    const page = await get("dead");
    view.dead = page.dead_letters;
    view.more = page.more;
    view.deadSeen = seen;
  }
  announce(view.status, status, restarted);
  view.status = status;
  view.answered = Date.now();
}

// announce tells screen readers of what one would look up for, and of nothing else.
function announce(old, now, restarted) {
  if (!old) return;
  const news = [];
  if (restarted) news.push("The node was started again.");
  if (old.connected !== now.connected) news.push(now.connected ? "NATS is connected again." : "NATS is gone. Messages wait on disk.");
  if (now.dead > old.dead && !restarted) news.push(`${plural(now.dead - old.dead, "new dead letter")}.`);
  for (const t of now.troubles) if (!old.troubles.includes(t) && !t.startsWith("nats:")) news.push(t);
  if (news.length) set($("announce"), news.join(" "));
}

function show() {
  const st = view.status;
  if (!st) return;
  const now = Date.now() + view.skew;
  document.title = `${st.troubles.length ? "⚠ " : ""}${st.node} · RMDS`;
  set($("node"), st.node);
  set($("about"), `RMDS ${st.version} · up ${span(Math.floor(since(st.started, now) ?? 0))}`);
  pills(st, now);
  tiles(st, now);
  draw($("topology"), ...scene(st, now));
  const down = hist.connected.map((c) => !c);
  waiting.show(hist.at, [{ name: "waiting", kind: "wait", values: hist.queued, area: true }], down);
  set($("waiting-now"), st.queued ? `${plural(st.queued, "message")}, over all readers` : "none: every reader is up to date");
  const lines = [["sent", "flow", hist.accepted], ["delivered", "done", hist.delivered], ["handled", "handle", hist.handled]]
    .map(([name, kind, past]) => ({ name, kind, values: hist.rates(past) }));
  rates.show(hist.at, lines, down);
  keep($("rates-now"), lines, (l) => l.name, (l) => h("span", { class: `key ${l.kind}` }), (e, l) => set(e, `${l.name} ${rate(l.values.at(-1) ?? 0)}`));
  sections.readers(st, hist, now);
  sections.handlers(st, hist, now);
  sections.channels(st);
  sections.links(st, now);
  sections.events(view.events);
  sections.dead(view.dead, st.dead_kept, (id) => get(`dead/${id}`));
  $("dead-more").hidden = !view.more;
}

function pills(st, now) {
  const others = st.troubles.filter((t) => !t.startsWith("nats:"));
  pill("pill-health", others.length ? ["trouble", "bad"] : ["healthy", "ok"]);
  pill("pill-nats", st.connected ? ["NATS connected", "ok"] : ["NATS not connected", "warn"]);
  pill("pill-live", view.lost ? ["contact lost", "bad"] : ["live", "ok pulse"]);
  const banners = others.map((t) => ({ mood: "bad", text: t }));
  if (!st.connected) banners.unshift({ mood: "warn", text: `No NATS. That is no loss: what is sent waits on this node's disk${st.queued ? `, ${plural(st.queued, "message")} now,` : ""} and goes out in order when NATS is back.` });
  if (view.lost) banners.unshift({ mood: "bad", text: `This page has had no answer from the node since ${clock(view.answered)}. The figures are the last known ones.` });
  keep($("banners"), banners, (b) => b.mood + b.text.slice(0, 12), (b) => h("p", { class: `banner ${b.mood}` }), (e, b) => set(e, b.text));
  document.body.classList.toggle("stale", view.lost);
}

function pill(id, [word, mood]) {
  set($(id), word);
  attr($(id), "class", `pill ${mood}`);
}

function perSecond(counter) {
  const r = hist.rate(counter);
  return r == null ? "–" : `${rate(r)}/s`;
}

function tiles(st, now) {
  const oldest = Math.max(0, ...st.peers.flatMap((p) => p.readers.map((r) => since(r.oldest, now) ?? 0)));
  const failures = st.handlers.reduce((n, x) => n + x.failed + x.rejected, 0);
  const list = [
    { name: "Waiting", value: count(st.queued), past: hist.queued, kind: "wait", note: st.queued ? "not acknowledged" : "nothing waits", mood: st.queued && !st.connected ? "warn" : "" },
    { name: "Oldest waits", value: oldest ? span(oldest) : "–", past: hist.oldest, kind: "age", note: oldest ? "since it was sent" : "up to date" },
    { name: "Sent", value: perSecond(hist.accepted), past: hist.rates(hist.accepted), kind: "flow", note: `${count(st.accepted)} since start` },
    { name: "Delivered", value: perSecond(hist.delivered), past: hist.rates(hist.delivered), kind: "done", note: `${count(st.delivered)} acknowledged` },
    { name: "Handled", value: perSecond(hist.handled), past: hist.rates(hist.handled), kind: "handle", note: `${count(st.handled)} · ${plural(failures, "failure")}` },
    { name: "Dead letters", value: count(st.dead_kept), past: hist.dead, kind: "dead", note: st.dead ? `${count(st.dead)} since start` : "none since start", mood: st.dead_kept ? "bad" : "" },
    { name: "Database", value: bytes(st.disk_bytes), note: "on this disk" },
  ];
  keep($("tiles"), list, (t) => t.name, (t) => h("div", { class: "tile" }, h("dt", null, t.name), h("dd", { class: "value" }), h("dd", { class: "note" }), h("dd", { class: "past" })), (e, t) => {
    set(e.children[1], t.value);
    set(e.children[2], t.note);
    attr(e, "class", `tile ${t.mood ?? ""}`);
    if (t.past) spark(e.children[3], t.past, `${t.name} over time`, t.kind);
  });
}

// scene is what the picture shows.
function scene(st, now) {
  const self = { node: st.node, connected: st.connected, troubles: st.troubles,
    handlers: st.handlers.map((x) => ({ name: x.name, rate: hist.rate(hist.handlers.get(x.name)?.runs ?? []), failing: (since(x.error_at, now) ?? 1e9) < 60 })) };
  return [self, st.peers.map((p) => {
    const key = p.node;
    return { node: p.node, online: p.online, state: p.state, heard: since(p.last_heard, now), queued: p.queued,
      out: p.readers.length > 0, reads: p.readers.some((r) => r.channel), in: p.handled > 0 || p.links.some((l) => !l.out),
      channels: [...new Set([...p.readers.map((r) => r.channel), ...p.links.flatMap((l) => (l.out ? [] : l.channels))].filter(Boolean))],
      outRate: speed(`out ${key}`, p.readers.reduce((n, r) => n + r.count, 0), st.run), inRate: speed(`in ${key}`, p.handled, st.run) };
  })];
}

// speed is how fast a counter of a peer grows. The server keeps no history of these, so the page does.
const past = new Map();
function speed(key, value, run) {
  const now = view.answered;
  let list = past.get(key);
  if (!list || list.run !== run || value < list.at(-1).value) {
    list = Object.assign([], { run });
    past.set(key, list);
  }
  if (list.at(-1)?.now !== now) list.push({ now, value });
  while (list.length > 2 && now - list[0].now > 5000) list.shift();
  return list.length < 2 ? 0 : (value - list[0].value) / ((now - list[0].now) / 1000);
}

$("dead-more").addEventListener("click", async () => {
  try {
    const page = await get(`dead?before=${view.dead.at(-1).id}`);
    view.dead.push(...page.dead_letters);
    view.more = page.more;
    show();
  } catch { /* the next round will say that contact is lost */ }
});

async function run() {
  for (;;) {
    try {
      await round();
      view.lost = false;
    } catch (err) {
      if (!view.lost) console.warn("no answer from the node", err);
      if (!view.lost && view.status) set($("announce"), "Contact with the node is lost.");
      view.lost = true;
      if (!view.status) set($("about"), "no answer from the node; trying again");
    }
    try {
      show();
    } catch (err) {
      console.error(err); // a fault of one picture must not end the asking
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, document.hidden ? 10000 : 1000);
      if (document.hidden) document.addEventListener("visibilitychange", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}

new ResizeObserver(() => show()).observe($("topology"));
run();
