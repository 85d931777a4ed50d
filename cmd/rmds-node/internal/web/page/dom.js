// Making and keeping elements. Text is only ever set as text: nothing that a message says can become markup.

const SVG = "http://www.w3.org/2000/svg";

// fill sets attributes and appends children; strings become text.
function fill(e, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return e;
}

// h makes an HTML element, s an SVG element.
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const $ = (id) => document.getElementById(id);

// set changes an element's text only if it differs, so that screen readers and selections are left in peace.
export function set(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

export function attr(e, name, value) {
  if (value == null || value === false) e.removeAttribute(name);
  else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value === true ? "" : value);
}

// keep makes the children of a container be one for each item, in order, by the items' keys. make builds a new one,
// update brings any up to date. Children stay what they are: focus and open details survive.
export function keep(container, items, key, make, update) {
  const old = container.kept ?? new Map();
  const now = new Map();
  let at = container.firstChild;
  for (const item of items) {
    const k = key(item);
    let e = old.get(k);
    if (!e) e = make(item);
    now.set(k, e);
    update?.(e, item);
    if (e === at) at = at.nextSibling;
    else container.insertBefore(e, at);
  }
  for (const [k, e] of old) if (now.get(k) !== e) e.remove();
  container.kept = now;
}

// table keeps a table in a container. Columns are {name, number, cell(item, td)}; with no items it says why.
export function table(container, label, columns, items, key, empty) {
  if (!container.body) {
    container.body = h("tbody");
    container.none = h("p", { class: "none" });
    const heads = columns.map((c) => h("th", { scope: "col", class: c.number && "number" }, c.name));
    container.table = h("table", null, h("caption", { class: "unseen" }, label), h("thead", null, h("tr", null, heads)), container.body);
    container.append(container.table, container.none);
  }
  container.table.hidden = items.length === 0;
  container.none.hidden = items.length > 0;
  set(container.none, empty);
  keep(container.body, items, key,
    () => h("tr", null, columns.map((c, i) => h(i ? "td" : "th", { scope: i ? null : "row", class: c.number && "number", "data-label": c.name }))),
    (row, item) => columns.forEach((c, i) => c.cell(item, row.children[i])));
}
