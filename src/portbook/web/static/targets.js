// Shows the answers of a target's ports as they come.
"use strict";

const over = document.getElementById("over");

if (over && "events" in over.dataset) {
  const events = new EventSource(over.dataset.events);
  events.addEventListener("row", (event) => {
    const piece = document.createElement("template");
    piece.innerHTML = event.data;
    const row = piece.content.querySelector("tr");
    document.getElementById(row.id)?.replaceWith(row);
  });
  events.addEventListener("over", (event) => {
    events.close();
    over.textContent = `${over.dataset.over} ${event.data}`.trim();
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) over.textContent = over.dataset.lost;
  });
}
