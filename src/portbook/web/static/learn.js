// Asks the server anew from the page, so that each conversation shows its own source port, and lists them.
const live = document.getElementById("live");
const seen = document.createElement("ol");
const buttons = document.createElement("p");

function list(conversation) {
  const item = document.createElement("li");
  const pair = document.createElement("bdi");
  pair.dir = "ltr";
  const [client, server] = conversation.querySelectorAll("tbody tr:first-child bdi");
  pair.append(client.cloneNode(true), " → ", server.cloneNode(true));
  item.append(pair);
  seen.append(item);
  while (seen.children.length > 12) {
    seen.start += 1;
    seen.firstElementChild.remove();
  }
}

async function ask() {
  const said = await fetch("/learn/pair", { cache: "no-store" });
  if (!said.ok) return;
  const piece = new DOMParser().parseFromString(await said.text(), "text/html").querySelector(".conversation");
  live.querySelector(".conversation").replaceWith(piece);
  piece.classList.add("moving");
  list(piece);
}

function button(words, times) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.addEventListener("click", async () => {
    made.disabled = true;
    await Promise.allSettled(Array.from({ length: times }, ask));
    made.disabled = false;
    made.focus();
  });
  buttons.append(made);
}

// Behind a proxy that does not tell the source port there would be nothing new to see.
if ("again" in live.dataset) {
  buttons.className = "buttons";
  button(live.dataset.again, 1);
  button(live.dataset.thrice, 3);
  seen.className = "seen";
  seen.setAttribute("aria-live", "polite");
  live.append(buttons, seen);
  list(live.querySelector(".conversation"));
}
new IntersectionObserver(([first], watcher) => {
  if (first.isIntersecting) {
    live.querySelector(".conversation").classList.add("moving");
    watcher.disconnect();
  }
}, { threshold: 0.4 }).observe(live);
