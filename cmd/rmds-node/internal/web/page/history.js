// What the page remembers: the server's samples and what was counted between them.

const KEPT = 600;
const COLUMNS = ["at", "connected", "queued", "oldest", "accepted", "delivered", "handled", "dead"];

export class History {
  constructor() {
    this.reset("");
  }

  reset(run) {
    this.run = run;
    this.last = 0;
    for (const c of COLUMNS) this[c] = [];
    this.readers = new Map();
    this.handlers = new Map();
  }

  // add takes an answer of /api/v1/history; false says that all must be asked for again.
  add(a) {
    if (a.run !== this.run) {
      const fresh = this.last === 0;
      this.reset(a.run);
      if (!fresh) return false;
    }
    const before = this.at.length;
    for (const c of COLUMNS) this[c].push(...a[c]);
    this.last = a.last;
    for (const r of a.readers) join(this.readers, `${r.node} ${r.channel}`, before, r, ["queued", "oldest"]);
    for (const r of a.handlers) join(this.handlers, r.name, before, r, ["runs", "failed"]);
    const over = this.at.length - KEPT;
    if (over > 0) for (const c of COLUMNS) this[c].splice(0, over);
    for (const all of [this.readers, this.handlers]) {
      for (const [key, v] of all) {
        const n = before + a.at.length;
        for (const c of Object.keys(v)) {
          while (v[c].length < n) v[c].push(-1); // not in this answer
          if (over > 0) v[c].splice(0, over);
        }
        if (Object.values(v)[0].every((x) => x < 0)) all.delete(key);
      }
    }
    return true;
  }

  // rate is how fast a counter has grown over the last few seconds, or null.
  rate(list, seconds = 5) {
    const n = list.length - 1;
    if (n < 1 || list[n] < 0) return null;
    let i = n;
    while (i > 0 && list[i - 1] >= 0 && this.at[n] - this.at[i] < seconds * 1000) i--;
    return i === n ? null : Math.max(list[n] - list[i], 0) / ((this.at[n] - this.at[i]) / 1000);
  }

  // rates is the same at every sample, over three of them.
  rates(list) {
    return list.map((v, i) => {
      const j = Math.max(i - 3, 0);
      return i === j || v < 0 || list[j] < 0 ? 0 : Math.max(v - list[j], 0) / Math.max((this.at[i] - this.at[j]) / 1000, 0.001);
    });
  }
}

function join(all, key, before, from, columns) {
  let v = all.get(key);
  if (!v) {
    v = {};
    for (const c of columns) v[c] = new Array(before).fill(-1);
    all.set(key, v);
  }
  for (const c of columns) v[c].push(...from[c]);
}
