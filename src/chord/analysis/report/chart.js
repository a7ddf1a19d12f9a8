// The chart: curves of the methods that are ticked, and their values at the step of a slider.

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

/** Draw `data` (chord.analysis.report.curves) into `box`. Returns a function that draws newer data of the same panels. */
function chart(box, data, title, note) {
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
    html("h3", {}, title),
    html("p", { class: "controls" }, quantity, comparison,
      html("button", { type: "button", click: tick(true) }, "All"),
      html("button", { type: "button", click: tick(false) }, "None")),
    picture,
    html("p", { class: "controls" }, html("label", { class: "wide-label" }, "Step ", steps), at),
    html("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Values of the curves" },
      html("table", {}, html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Method"), heading,
        html("th", { scope: "col" }, "Deviation over seeds"), html("th", { scope: "col" }, "Seeds"))), body)),
    html("p", { class: "note" }, `${note} The slider, or a pointer on the chart, chooses the step of the table.`));
  list();
  box.hidden = false;
  new ResizeObserver(draw).observe(picture);
  picture.addEventListener("pointermove", (event) => {
    const place = (event.clientX - picture.getBoundingClientRect().left - MARGIN.left) / drawn.width;
    steps.value = Math.round(drawn.last * Math.min(1, Math.max(0, place)));
    draw();
  });
  return (newer) => {
    data = newer;
    const names = (of) => of.map(({ name }) => name).join();
    if (names(rows.map(({ method }) => method)) !== names(data.comparisons[group.value].methods)) return list();
    const follows = steps.value === steps.max;
    steps.max = lastStep();
    if (follows) steps.value = steps.max;
    return draw();
  };

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
