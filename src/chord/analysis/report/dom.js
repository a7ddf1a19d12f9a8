// Elements with attributes, and labelled controls; the scripts of a page are inlined after it.
"use strict";

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
