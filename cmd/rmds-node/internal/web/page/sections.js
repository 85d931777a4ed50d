// The tables and lists below the picture.

import { $, attr, h, keep, set, table } from "./dom.js";
import { spark } from "./chart.js";
import { bytes, clock, count, plural, rate, since, span } from "./words.js";

const text = (f) => (item, td) => set(td, f(item));

// child keeps one element of a class in a cell.
function child(td, tag, cls) {
  if (!td.firstElementChild) td.append(h(tag, { class: cls }));
  return td.firstElementChild;
}

const badge = (f) => (item, td) => {
  const [word, mood] = f(item);
  const e = child(td, "span", "badge");
  set(e, word);
  e.className = `badge ${mood}`;
};

export function readers(st, hist, now) {
  const list = st.peers.flatMap((p) => p.readers.map((r) => ({ ...r, node: p.node, online: p.online, past: hist.readers.get(`${p.node} ${r.channel}`), age: since(r.oldest, now) ?? 0 })))
    .filter((r) => r.channel || r.queued || r.count);
  list.sort((a, b) => b.queued - a.queued || a.node.localeCompare(b.node) || a.channel.localeCompare(b.channel));
  table($("readers"), "Readers and what waits for them", [
    { name: "Node", cell: text((r) => r.node) },
    { name: "Channel", cell: text((r) => r.channel || "(addressed)") },
    { name: "State", cell: badge((r) => (!st.connected ? ["no NATS", "warn"] : r.online ? (r.queued ? ["catching up", "warn"] : ["up to date", "ok"]) : ["offline", "bad"])) },
    { name: "Waiting", number: true, cell: text((r) => count(r.queued)) },
    { name: "Oldest", number: true, cell: text((r) => (r.queued ? span(r.age) : "–")) },
    { name: "Depth over time", cell: (r, td) => spark(td, r.past?.queued ?? [], `waiting for ${r.node}, now ${r.queued}`) },
    { name: "Age over time", cell: (r, td) => spark(td, r.past?.oldest ?? [], `age of the oldest, now ${span(r.age)}`, "age") },
  ], list.slice(0, 100), (r) => `${r.node} ${r.channel}`, "Nobody reads what this node writes, as far as it has heard.");
}

// quantile reads a time off the cumulative counts, as the upper bound of the bucket.
export function quantile(latency, runs, q) {
  if (!runs) return null;
  const b = latency.find((l) => l.runs >= q * runs);
  return b ? b.seconds : Infinity;
}

const bound = (v) => (v == null ? "–" : v === Infinity ? "> 5 s" : `≤ ${span(v)}`);

export function handlers(st, hist, now) {
  table($("handlers"), "Handlers, their rates, times and failures", [
    { name: "Handler", cell: (x, td) => set(td, x.name) },
    { name: "Channels", cell: text((x) => x.channels.join(", ")) },
    { name: "Rate", number: true, cell: text((x) => `${rate(hist.rate(hist.handlers.get(x.name)?.runs ?? []))}/s`) },
    { name: "Runs", number: true, cell: text((x) => count(x.runs)) },
    { name: "Mean", number: true, cell: text((x) => (x.runs ? span(x.busy / x.runs) : "–")) },
    { name: "Median", number: true, cell: text((x) => bound(quantile(x.latency, x.runs, 0.5))) },
    { name: "99 %", number: true, cell: text((x) => bound(quantile(x.latency, x.runs, 0.99))) },
    { name: "Retried", number: true, cell: text((x) => count(x.retried)) },
    { name: "Rejected", number: true, cell: text((x) => count(x.rejected)) },
    { name: "Failed", number: true, cell: (x, td) => { set(td, count(x.failed)); td.classList.toggle("alarm", x.failed > 0); } },
    { name: "Rate over time", cell: (x, td) => spark(td, hist.rates(hist.handlers.get(x.name)?.runs ?? []), `rate of ${x.name} over time`, "flow") },
    { name: "Last failure", cell: (x, td) => { set(td, x.error ? `${span(since(x.error_at, now) ?? 0)} ago: ${x.error}` : "none"); td.classList.toggle("long", true); attr(td, "title", x.error); } },
  ], st.handlers, (x) => x.name, "No handler is configured: this node has nothing of its own to run.");
}

export function channels(st) {
  const by = {};
  for (const x of st.handlers) for (const c of x.channels) (by[c] ??= []).push(x.name);
  table($("channels"), "Channels that this node has joined", [
    { name: "Channel", cell: text((c) => c.name) },
    { name: "Role", cell: text((c) => c.role) },
    { name: "Handled by", cell: text((c) => by[c.name]?.join(", ") ?? (c.role === "writer" ? "others" : c.awake ? "a function" : "nobody: messages wait")) },
    { name: "Readers", number: true, cell: text((c) => (c.role === "reader" ? "–" : count(st.peers.filter((p) => p.readers.some((r) => r.channel === c.name)).length))) },
  ], st.channels, (c) => c.name, "No channel is joined.");
}

const domains = (d) => (d === "s" ? "in order" : d === "a" ? "addressed" : d.replace(/^c:/, "channel "));

export function links(st, now) {
  const list = st.peers.flatMap((p) => (p.links.length ? p.links : [null]).map((l) => ({ p, l })));
  table($("links"), "Other nodes and the links with them", [
    { name: "Node", cell: text((x) => x.p.node) },
    { name: "State", cell: badge((x) => (!st.connected && x.p.online ? ["no NATS", "warn"] : x.p.online ? (x.p.state && x.p.state !== "ok" ? [x.p.state, "warn"] : ["online", "ok"]) : ["offline", "bad"])) },
    { name: "Heard", number: true, cell: text((x) => { const a = since(x.p.last_heard, now); return a == null ? "never" : a < 1 ? "just now" : `${span(Math.round(a))} ago`; }) },
    { name: "Link", cell: text((x) => (!x.l ? "none" : `${x.l.out ? "to it" : "from it"}, ${domains(x.l.domain)}${x.l.open ? "" : " (opening)"}`)) },
    { name: "In flight", number: true, cell: text((x) => (!x.l ? "–" : x.l.out ? plural(x.l.frames, "frame") : plural(x.l.waiting, "message"))) },
    { name: "Round trip", number: true, cell: text((x) => (x.l?.rtt ? span(x.l.rtt) : "–")) },
  ], list, (x) => `${x.p.node} ${x.l?.out} ${x.l?.domain}`, "No other node has been heard.");
}

const MOODS = { connected: "ok", storage_ok: "ok", member_joined: "ok", disconnected: "warn", member_left: "warn", bus_error: "warn", gap: "warn" };

export function events(list) {
  keep($("events"), [...list].reverse(), (e) => e.first,
    (e) => h("li", null, h("span", { class: `badge ${MOODS[e.kind] ?? "bad"}` }, e.kind.replaceAll("_", " ")),
      h("span", { class: "what" }, [e.node, e.channel].filter(Boolean).join(" · ")), h("span", { class: "times" }), h("time"), h("span", { class: "words" })),
    (li, e) => {
      const [, , times, time, words] = li.children;
      set(times, e.count > 1 ? `${count(e.count)} times, the last one:` : "");
      set(time, clock(Date.parse(e.at)));
      attr(time, "datetime", e.at);
      set(words, e.text);
    });
}

export function dead(list, count_, load) {
  set($("dead-count"), count_ ? plural(count_, "message") + " set aside" : "");
  if (!list.length) {
    $("dead").kept = undefined;
    $("dead").replaceChildren(h("p", { class: "none" }, "None. Nothing has been set aside."));
    return;
  }
  if (!$("dead").kept) $("dead").replaceChildren();
  keep($("dead"), list, (d) => d.id, (d) => letter(d, load));
}

function letter(d, load) {
  const path = `${d.from} → ${d.reader || d.to || "?"}`;
  const body = h("div", { class: "body" });
  const e = h("details", { class: "letter" },
    h("summary", null, h("span", { class: "badge bad" }, d.reason.replaceAll("_", " ")), h("b", null, d.channel), h("span", { class: "what" }, path),
      h("time", { datetime: d.at }, clock(Date.parse(d.at))), h("span", { class: "words" }, d.detail)), body);
  e.addEventListener("toggle", async () => {
    if (!e.open || body.firstChild) return;
    body.append(h("p", { class: "quiet" }, "loading…"));
    try {
      body.replaceChildren(...inside(await load(d.id)));
    } catch (err) {
      body.replaceChildren(); // asked again when it is opened again
      e.open = false;
    }
  });
  return e;
}

// inside is all there is to a dead letter.
function inside(d) {
  const facts = [["Message", d.message], ["Number", `${d.id}`], ["Set aside by", `the ${d.side}, ${new Date(d.at).toLocaleString()}`], ["Written", new Date(d.created_at).toLocaleString()],
    ["Handler", d.handler], ["Attempts", d.attempts ? `${d.attempts}` : ""], ["Reason", d.detail], ["Size", bytes(d.size)], ...Object.entries(d.headers ?? {}).map(([k, v]) => [`Header ${k}`, v])];
  const out = [h("dl", { class: "facts" }, facts.filter(([, v]) => v).map(([k, v]) => [h("dt", null, k), h("dd", null, v)]))];
  if (d.withheld) out.push(h("p", { class: "quiet" }, "The content is not shown here. To allow it, set show_payloads = true under [admin] in the node's configuration."));
  else out.push(...payload(d));
  return out;
}

function payload(d) {
  const raw = Uint8Array.from(atob(d.content ?? ""), (c) => c.charCodeAt(0));
  let kind = "text", shown;
  try {
    shown = new TextDecoder("utf-8", { fatal: d.size === raw.length }).decode(raw);
    if (/[\u0000-\u0008\u000e-\u001f]/.test(shown)) throw new Error("binary");
    try {
      shown = JSON.stringify(JSON.parse(shown), null, 2);
      kind = "JSON";
    } catch { /* plain text */ }
  } catch {
    shown = hex(raw.subarray(0, 4096));
    kind = "binary";
  }
  const cut = raw.length < d.size || (kind === "binary" && raw.length > 4096);
  return [h("p", { class: "quiet" }, `Content, ${kind}${cut ? ", its beginning" : ""}`), h("pre", { tabindex: "0", "aria-label": "Content of the message" }, shown || "(empty)")];
}

function hex(raw) {
  const lines = [];
  for (let i = 0; i < raw.length; i += 16) {
    const row = [...raw.subarray(i, i + 16)];
    lines.push(`${i.toString(16).padStart(4, "0")}  ${row.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(48)} ${row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join("")}`);
  }
  return lines.join("\n");
}
