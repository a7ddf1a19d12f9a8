// Takes what has changed out of the page every few seconds. When the server ends, the page says so and stays.

const EVERY = 5000; // milliseconds
const dataOf = (page) => JSON.parse(page.querySelector("#chart-data").textContent);
const draw = chart(document.querySelector("#chart"), dataOf(document), "Pick runs", "Each line is one run.");

function show(page) {
  draw(dataOf(page));
  document.title = page.title;
  const live = document.querySelector("#live");
  // A box that somebody scrolls by keyboard stays until they leave it.
  if (!live.contains(document.activeElement)) live.replaceWith(page.querySelector("#live"));
}

async function refresh() {
  const text = await fetch("/").then((answer) => answer.text(), () => null);
  document.querySelector("#state").textContent = text ? "" : "chord watch has ended: this page is as it was then.";
  if (text) show(new DOMParser().parseFromString(text, "text/html"));
}

setInterval(refresh, EVERY);
