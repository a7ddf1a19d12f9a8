// What a reader can do with the page where scripts run: pick curves, sort tables, filter verdicts, compare responses.
// Without scripts the page shows everything. Controls are native, so keyboards and screen readers have them too.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /** An element with attributes (functions listen to the event of that name; false leaves out) and children. */
  function element(made, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(name, value);
      else if (value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }
  const html = (tag, attributes = {}, ...children) => element(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) =>
    element(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  function choice(label, options, change) {
    const select = html("select", { change }, ...options.map((text, value) => html("option", { value }, text)));
    return [html("label", {}, label, select), select];
  }

  function checkbox(checked, change, ...label) {
    const box = html("input", { type: "checkbox", checked, change });
    return [html("label", {}, box, ...label), box];
  }

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
    const claims = all(".claim", section).map((node) => [node, node.querySelector(".head .verdict").classList[1]]);
    const rest = section.querySelector("details");
    if (rest) claims.push([rest, "not-measured"]);
    const kinds = [...new Set(claims.map(([, kind]) => kind))];
    const status = html("p", { role: "status" });
    const boxes = kinds.map((kind) => [kind, ...checkbox(true, show, kind.replace("-", " "))]);
    const group = html("fieldset", { class: "controls" }, html("legend", {}, "Verdicts to show"));
    group.append(...boxes.map(([, label]) => label), status);
    claims[0][0].before(group);

    function show() {
      const chosen = boxes.filter(([, , box]) => box.checked).map(([kind]) => kind);
      for (const [node, kind] of claims) node.hidden = !chosen.includes(kind);
      const measured = claims.filter(([node]) => node !== rest);
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

  // ---- The chart: curves of the methods that are ticked, and their values at the step of a slider.

  const HEIGHT = 340;
  const MARGIN = { left: 52, right: 14, top: 14, bottom: 40 };

  function ticks(low, high) {
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= raw);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) found.push(at * step);
    return found.map((value) => Number(value.toPrecision(12)));
  }

  function chart(box, data) {
    const picture = html("div", { class: "picture" });
    const [quantity, panel] = choice("Quantity ", data.panels.map(({ label }) => label), draw);
    const [comparison, group] = choice("Methods of ", data.comparisons.map(({ title }) => title), list);
    comparison.hidden = data.comparisons.length < 2;
    const steps = html("input", { type: "range", min: 0, step: 1, input: draw });
    const at = html("output");
    const heading = html("th", { scope: "col" });
    const body = html("tbody");
    const tick = (value) => () => { rows.forEach((row) => { row.box.checked = value; }); draw(); };
    let rows = [];
    let drawn = null; // what the pointer needs: the scale of x

    box.append(
      html("h3", {}, "Pick methods"),
      html("p", { class: "controls" }, quantity, comparison,
        html("button", { type: "button", click: tick(true) }, "All"),
        html("button", { type: "button", click: tick(false) }, "None")),
      picture,
      html("p", { class: "controls" }, html("label", { class: "wide-label" }, "Step ", steps), at),
      html("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Values of the curves" },
        html("table", {}, html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Method"), heading,
          html("th", { scope: "col" }, "Deviation over seeds"), html("th", { scope: "col" }, "Seeds"))), body)),
      html("p", { class: "note" }, "Mean over seeds; band: one standard deviation over seeds to each side. Smoothed as in the"
        + " figures below. The slider, or a pointer on the chart, chooses the step of the table."));
    list();
    box.hidden = false;
    new ResizeObserver(draw).observe(picture);
    picture.addEventListener("pointermove", (event) => {
      const place = (event.clientX - picture.getBoundingClientRect().left - MARGIN.left) / drawn.width;
      steps.value = Math.round(drawn.last * Math.min(1, Math.max(0, place)));
      draw();
    });

    function list() {
      rows = data.comparisons[group.value].methods.map((method) => {
        const look = data.looks[method.look];
        const swatch = svg("svg", { class: "swatch", viewBox: "0 0 34 10", "aria-hidden": "true" }, stroke(look, "M1 5H33"));
        const [label, box_] = checkbox(true, draw, swatch, method.title);
        const cells = [html("td"), html("td"), html("td", {}, String(method.seeds))];
        const row = html("tr", {}, html("th", { scope: "row" }, label), ...cells);
        const emphasise = (on) => () => {
          const lines = all("[data-method]", picture);
          lines.forEach((line) => line.classList.toggle("faded", on && line.dataset.method !== method.name));
        };
        for (const name of ["pointerenter", "focusin"]) row.addEventListener(name, emphasise(true));
        for (const name of ["pointerleave", "focusout"]) row.addEventListener(name, emphasise(false));
        return { method, look, box: box_, row, cells };
      });
      body.replaceChildren(...rows.map(({ row }) => row));
      steps.value = steps.max = lastStep();
      draw();
    }

    function lastStep() {
      const lines = data.panels.flatMap(({ curves }) => rows.map(({ method }) => curves[method.name]).filter(Boolean));
      return Math.max(1, ...lines.map(({ x }) => x[x.length - 1]));
    }

    function stroke(look, d, width = 2) {
      return svg("path", { d, fill: "none", stroke: look.colour, "stroke-width": width, "stroke-dasharray": look.dash || "none" });
    }

    function draw() {
      const { label, curves } = data.panels[panel.value];
      const step = Number(steps.value);
      at.textContent = step;
      heading.textContent = `Step ${step}`;
      for (const { method, cells } of rows) {
        const line = curves[method.name];
        const place = line ? line.x.reduce((best, x, i) => (Math.abs(x - step) < Math.abs(line.x[best] - step) ? i : best), 0) : 0;
        const beyond = !line || step > line.x[line.x.length - 1];
        cells[0].textContent = beyond ? "–" : line.mean[place].toPrecision(4);
        cells[1].textContent = beyond || !line.deviation.length ? "–" : line.deviation[place].toPrecision(2);
      }
      const lines = rows.filter(({ method, box: { checked } }) => checked && curves[method.name]);
      picture.replaceChildren(plot(label, lines.map((row) => ({ ...row, line: curves[row.method.name] })), step));
    }

    function plot(label, lines, step) {
      const outer = Math.max(280, picture.clientWidth);
      const width = outer - MARGIN.left - MARGIN.right;
      const height = HEIGHT - MARGIN.top - MARGIN.bottom;
      const last = Number(steps.max);
      drawn = { width, last };
      const values = lines.flatMap(({ line }) => line.mean.flatMap((mean, i) => {
        const deviation = line.deviation[i] ?? 0;
        return [mean - deviation, mean + deviation];
      }));
      let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
      if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
      const x = (value) => (MARGIN.left + (width * value) / last).toFixed(1);
      const y = (value) => (MARGIN.top + height * (1 - (value - low) / (high - low))).toFixed(1);
      const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a)} ${y(b)}`).join("");
      const named = lines.map(({ method }) => method.title).join(", ") || "no method";
      const text = (attributes, words) => svg("text", attributes, String(words));
      return svg("svg", { width: outer, height: HEIGHT, role: "img",
        "aria-label": `${label} over optimizer steps of ${named}. The table below has the values.` },
      ...ticks(low, high).flatMap((value) => [
        svg("path", { class: "grid", d: `M${MARGIN.left} ${y(value)}h${width}` }),
        text({ x: MARGIN.left - 8, y: Number(y(value)) + 4, "text-anchor": "end" }, value)]),
      ...ticks(0, last).map((value) => text({ x: x(value), y: HEIGHT - 22, "text-anchor": "middle" }, value)),
      text({ x: MARGIN.left + width / 2, y: HEIGHT - 5, "text-anchor": "middle" }, "Optimizer step"),
      svg("path", { class: "at", d: `M${x(step)} ${MARGIN.top}v${height}` }),
      ...lines.map(({ method, look, line }) => {
        const points = (sign) => line.x.map((value, i) => [value, line.mean[i] + sign * line.deviation[i]]);
        const band = line.deviation.length
          ? [svg("path", { d: `${path([...points(-1), ...points(1).reverse()])}Z`, fill: look.colour, "fill-opacity": 0.13 })]
          : [];
        const dots = line.x.length > 25 ? [] : line.x.map((value, i) =>
          svg("circle", { cx: x(value), cy: y(line.mean[i]), r: 2.8, fill: look.colour }));
        return svg("g", { "data-method": method.name }, ...band, stroke(look, path(line.x.map((value, i) => [value, line.mean[i]]))), ...dots);
      }));
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
  if (data) chart(document.querySelector("#chart"), JSON.parse(data.textContent));
})();
