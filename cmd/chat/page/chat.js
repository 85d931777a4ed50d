"use strict";

const log = document.getElementById("log");
const stateLine = document.getElementById("state");
const answer = document.getElementById("answer");
const form = document.getElementById("form");
const text = document.getElementById("text");

// element makes an element whose text is text and nothing else, whatever it holds.
function element(name, content) {
  const e = document.createElement(name);
  e.textContent = content;
  return e;
}

function addLine(line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const p = document.createElement("p");
  if (line.own) p.className = "own";
  if (line.sender) {
    const head = document.createElement("small");
    if (!line.own) head.append(element("b", line.sender));
    const at = element("time", new Date(line.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    at.dateTime = line.at;
    head.append(at);
    p.append(head);
  } else {
    p.className = "system";
  }
  p.append(element("span", line.text));
  log.append(p);
  if (atEnd || line.own) log.scrollTop = log.scrollHeight;
}

function showState(s) {
  document.title = s.node + " – " + s.channel;
  document.getElementById("title").textContent = s.node + " on " + s.channel;
  const parts = [s.does, s.connected ? "connected" : "NATS is away"];
  if (s.queued) parts.push(s.queued + " waiting for delivery");
  parts.push(s.online.length ? "online: " + s.online.join(", ") : "nobody else online");
  stateLine.textContent = parts.join(" · ");
  stateLine.className = s.connected ? "" : "away";
  text.placeholder = s.does === "reads" ? "/stats /nodes /topology" : "Message, or /stats /nodes /topology";
}

function showAnswer(content, bad) {
  answer.textContent = content;
  answer.hidden = !content;
  answer.className = bad ? "bad" : "";
}

// A browser opens a lost stream again by itself; it then begins with everything.
const events = new EventSource("events");
events.addEventListener("reset", () => log.replaceChildren());
events.addEventListener("line", (e) => addLine(JSON.parse(e.data)));
events.addEventListener("state", (e) => showState(JSON.parse(e.data)));
events.addEventListener("error", () => {
  stateLine.textContent = "the program does not answer";
  stateLine.className = "away";
});

// What is typed is sent one after the other, in the order of typing.
let sending = Promise.resolve();

form.addEventListener("submit", (e) => {
  e.preventDefault();
  const typed = text.value.trim();
  if (!typed) return;
  text.value = "";
  sending = sending.then(() => send(typed));
});

async function send(typed) {
  try {
    const r = await fetch("send", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: typed }),
    });
    const result = await r.json();
    showAnswer(result.error || result.answer, !r.ok);
    if (!r.ok && !text.value) text.value = typed;
  } catch (err) {
    showAnswer("not sent: " + err.message, true);
    if (!text.value) text.value = typed;
  }
}
