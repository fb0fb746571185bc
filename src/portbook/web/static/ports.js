// Looks ports up as one types, and keeps the address of the page in step; without scripts a button does.
const ask = document.getElementById("ask");
const field = document.getElementById("q");
const found = document.getElementById("found");
const line = found.querySelector(".tally");
let pause;
let asked;

async function look() {
  asked?.abort();
  asked = new AbortController();
  const question = new URLSearchParams({ q: field.value });
  let said;
  try {
    said = await fetch(`/ports?${question}&part=1`, { signal: asked.signal });
  } catch {
    return; // a later question took this one's place, or the network is gone: what is shown stays
  }
  if (!said.ok) {
    line.textContent = await said.text();
    return;
  }
  const part = new DOMParser().parseFromString(await said.text(), "text/html").body;
  const summary = part.querySelector(".tally");
  line.textContent = summary.textContent;
  line.className = summary.className;
  summary.remove();
  found.replaceChildren(line, ...part.children);
  history.replaceState(null, "", field.value.trim() ? `/ports?${question}` : "/ports");
}

field.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(look, 200);
});
ask.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(pause);
  look();
});
