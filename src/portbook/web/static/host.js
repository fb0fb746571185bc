// Keeps the page of this host as it is now: the server sends the pieces that changed, and only what differs is
// touched, so that focus, scrolling and what was opened stay where they are.
"use strict";

const shown = document.getElementById("host");
const pause = document.getElementById("host-pause");
const watching = document.getElementById("host-watching");
const lost = document.getElementById("host-lost");
const pieces = ["notes", "picture", "listeners", "talks"];
let source = null;
let seen = null;

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}

function alike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

function renew(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  renewChildren(old, fresh);
}

function renewChildren(old, fresh) {
  const keyed = new Map();
  for (const node of old.childNodes) {
    const key = keyOf(node);
    if (key !== null) keyed.set(key, [...(keyed.get(key) || []), node]);
  }
  let place = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const key = keyOf(node);
    const same = key === null ? place : (keyed.get(key) || []).shift();
    if (same && alike(same, node)) {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      renew(same, node);
    } else {
      old.insertBefore(node, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function take(event) {
  const fresh = document.createElement("template");
  fresh.innerHTML = `\n${event.data}\n`;
  renewChildren(document.getElementById(`host-${event.type}`), fresh.content);
  seen = event.lastEventId;
  show(true);
}

function show(live) {
  watching.hidden = !live;
  lost.hidden = live;
}

function open() {
  const address = new URL(shown.dataset.events, location.href);
  if (seen !== null) address.searchParams.set("seen", seen);
  source = new EventSource(address);
  for (const name of pieces) source.addEventListener(name, take);
  source.addEventListener("failed", (event) => {
    lost.textContent = event.data;
    show(false);
  });
  source.addEventListener("open", () => show(true));
  source.addEventListener("error", () => {
    // A connection that the server has ended in good order is opened again by the browser.
    if (source.readyState === EventSource.CLOSED) show(false);
  });
}

function close() {
  if (source) source.close();
  source = null;
  watching.hidden = true;
}

if (shown) {
  document.getElementById("host-again").hidden = true;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) close();
    else open();
  });
  document.addEventListener("visibilitychange", () => {
    if (pause.getAttribute("aria-pressed") === "true") return;
    if (document.hidden) close();
    else if (!source) open();
  });
  open();
}
