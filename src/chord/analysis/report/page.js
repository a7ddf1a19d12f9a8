// What a reader can do with the page where scripts run: pick curves, sort tables, filter verdicts, compare responses.
// Without scripts the page shows everything. Controls are native, so keyboards and screen readers have them too.

// ---- Tables: a button in each heading sorts, best first; the third press restores the order of the page.

const shown = (cell) => (cell ? (cell.querySelector("b") ?? cell).textContent.trim() : "");
const number = (text) => {
  const plain = text.replace(/[\s\u202f\u00a0]/g, "").replace("−", "-").replace(/%$/, "");
  return /^[-+]?\d+(\.\d+)?(e[-+]?\d+)?$/.test(plain) ? Number(plain) : NaN;
};

function sortable(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) return;
  const headings = [...table.tHead.rows[0].cells].filter((heading) => heading.textContent.trim());
  for (const heading of headings) {
    const press = () => sort(heading);
    heading.replaceChildren(html("button", { type: "button", class: "sort", click: press }, ...heading.childNodes));
  }

  function sort(heading) {
    const column = heading.cellIndex;
    const keys = new Map(rows.map((row) => [row, shown(row.cells[column])]));
    const filled = rows.filter((row) => !["", "–"].includes(keys.get(row)));
    const numeric = filled.every((row) => !Number.isNaN(number(keys.get(row))));
    const orders = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
    const order = orders[orders.indexOf(heading.getAttribute("aria-sort")) + 1];
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    if (!order) return body.append(...rows);
    heading.setAttribute("aria-sort", order);
    const compare = numeric
      ? (a, b) => number(keys.get(a)) - number(keys.get(b))
      : (a, b) => keys.get(a).localeCompare(keys.get(b), "en", { numeric: true });
    const sign = order === "ascending" ? 1 : -1;
    filled.sort((a, b) => sign * compare(a, b));
    body.append(...filled, ...rows.filter((row) => !filled.includes(row))); // places without a value stay last
  }
}

// ---- What a number rests on: the words that appear when a mouse points at it, for readers without one.

function sizes(nodes) {
  const [label] = checkbox(false, (event) => {
    for (const node of nodes) {
      if (event.target.checked) node.append(html("small", { class: "sizes" }, node.title));
      else node.querySelector(".sizes").remove();
    }
  }, "Write beside each number what it rests on");
  document.querySelector("#answer").before(html("p", { class: "controls" }, label));
}

// ---- Verdicts on claims

function verdicts(section) {
  const kindOf = (node) => node.querySelector(".verdict").classList[1];
  const claims = all(".claim, tbody tr", section).map((node) => [node, kindOf(node)]);
  const rest = section.querySelector("details:has(> .plain)");
  if (rest) claims.push([rest, "not-measured"]);
  const kinds = [...new Set(claims.map(([, kind]) => kind))];
  const status = html("p", { role: "status" });
  const boxes = kinds.map((kind) => [kind, ...checkbox(true, show, kind.replace("-", " "))]);
  const group = html("fieldset", { class: "controls" }, html("legend", {}, "Verdicts to show"));
  group.append(...boxes.map(([, label]) => label), status);
  section.querySelector("details, .claim").before(group);

  function show() {
    const chosen = boxes.filter(([, , box]) => box.checked).map(([kind]) => kind);
    for (const [node, kind] of claims) node.hidden = !chosen.includes(kind);
    const measured = claims.filter(([node]) => node.matches(".claim"));
    const seen = measured.filter(([node]) => !node.hidden).length;
    status.textContent = `${seen} of ${measured.length} measured claims shown`;
  }
}

// ---- Responses of two methods side by side

function pairs(section) {
  const tables = all("details", section).map((node) => {
    const box = node.querySelector(".scroll");
    const rows = all("tbody tr", box).map((row) => [...row.cells].map((cell) => cell.textContent));
    const pair = html("div", { class: "pair", hidden: true });
    box.after(pair);
    return { box, pair, rows: new Map(rows.map((cells) => [cells[0], cells])) };
  });
  const methods = [...new Set(tables.flatMap(({ rows }) => [...rows.keys()]))];
  if (methods.length < 2) return;
  const [first, left] = choice("Responses of ", ["all methods", ...methods], show);
  const [second, right] = choice(" beside those of ", methods, show);
  right.value = methods.length - 1;
  second.hidden = true;
  section.querySelector("details").before(html("p", { class: "controls" }, first, second));
  const open = (event) => {
    const closed = all("details:not([open])", section);
    all("details", section).forEach((node) => { node.open = closed.length > 0; });
    event.target.textContent = closed.length ? "Close all questions" : "Open all questions";
  };
  first.parentNode.append(html("button", { type: "button", click: open }, "Open all questions"));

  function show() {
    const apart = left.value === "0";
    second.hidden = apart;
    const chosen = apart ? [] : [methods[left.value - 1], methods[right.value]];
    for (const { box, pair, rows } of tables) {
      box.hidden = !apart;
      pair.hidden = apart;
      pair.replaceChildren(...chosen.map((name) => response(name, rows.get(name))));
    }
  }

  function response(name, cells) {
    const [, verdict, tokens, text] = cells ?? [name, "no response", "–", ""];
    return html("article", {}, html("h3", {}, name),
      html("p", { class: "from" }, `${verdict === "✓" ? "✓ correct" : verdict}, ${tokens} tokens`),
      html("p", { class: "said" }, text));
  }
}

const explained = all("#main-content [title]");
if (explained.length) sizes(explained);
all("main table").forEach(sortable);
const claims = document.querySelector("#claims");
if (claims?.querySelector(".claim")) verdicts(claims);
const samples = document.querySelector("#samples");
if (samples) pairs(samples);
const data = document.querySelector("#chart-data");
if (data) {
  chart(document.querySelector("#chart"), JSON.parse(data.textContent), "Pick methods",
    "Mean over seeds; band: one standard deviation over seeds to each side. Smoothed as in the figures below.");
}
