// Turns the doors of the test page as their answers come: of the visitor's address, of their other one, and of
// the ports that they ask for. All words come from the server.
"use strict";

const form = document.getElementById("test");
const more = document.getElementById("more");
const other = document.getElementById("other");
const runs = document.getElementById("runs");
const untested = runs?.querySelector(".doors").cloneNode(true);
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language, { numberingSystem: "latn" });
const seconds = new Intl.NumberFormat(language, {
  numberingSystem: "latn",
  style: "unit",
  unit: "second",
  unitDisplay: "long",
});

const parsed = (text) => new DOMParser().parseFromString(text, "text/html").body;
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

class Failure extends Error {
  constructor(message, status, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

function count(section) {
  const doors = [...section.querySelectorAll(".door")];
  for (const label of section.querySelectorAll(".show label")) {
    const { state } = label.dataset;
    const found = state === "all" ? doors : doors.filter((door) => door.dataset.state === state);
    label.querySelector(".count").textContent = number.format(found.length);
  }
  section.querySelector("progress").value = doors.filter((door) => door.dataset.state !== "waiting").length;
}

// The door's drawing stays, so that it turns; only what is told of it is replaced.
function turn(section, piece) {
  const door = section.querySelector(`[data-door="${piece.dataset.door}"]`);
  if (!door) return;
  door.dataset.state = piece.dataset.state;
  door.toggleAttribute("data-more", "more" in piece.dataset);
  for (const part of [".told", ".answer"]) {
    door.querySelector(part).replaceWith(piece.querySelector(part));
  }
  count(section);
}

// Follows a run until it is over; `place` returns the section that shows it, or null to wait for its end only. With
// `shown` its doors stand on the page already, so the server need not send them.
function follow(run, place, lost, shown = false) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/tests/${encodeURIComponent(run)}/events${shown ? "?shown=1" : ""}`);
    let section = null;
    events.addEventListener("begun", (event) => {
      section = place(event.data);
      section?.setAttribute("data-running", "");
    });
    events.addEventListener("door", (event) => {
      if (section) turn(section, parsed(event.data).querySelector(".door"));
    });
    events.addEventListener("over", (event) => {
      events.close();
      if (section) {
        section.removeAttribute("data-running");
        for (const door of section.querySelectorAll("[data-more]")) door.removeAttribute("data-more");
        section.querySelector(".summary").replaceChildren(...parsed(event.data).childNodes);
      }
      resolve();
    });
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;
      section?.removeAttribute("data-running");
      reject(new Failure(lost));
    });
  });
}

async function ask(fields) {
  let answer;
  try {
    answer = await fetch("/tests", { method: "POST", body: fields, headers: { Accept: "application/json" } });
  } catch {
    throw new Failure(form.dataset.lost);
  }
  if (answer.ok) return answer.json();
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const words = isJson ? JSON.parse(text).detail : text;
  throw new Failure(words, answer.status, Number(answer.headers.get("retry-after")));
}

// Begins a test and shows it; one that is running already for other ports is waited for.
async function test(fields, place, say, shown = false) {
  for (;;) {
    const { run, other } = await ask(fields);
    if (!other) {
      say(form.dataset.running);
      await follow(run, place, form.dataset.lost, shown);
      return;
    }
    say(form.dataset.waiting);
    await follow(run, () => null, form.dataset.lost, true);
  }
}

// Counts down on the button until it is worth asking again.
async function wait(button, left) {
  const words = button.textContent;
  for (; left > 0; left -= 1) {
    button.textContent = seconds.format(left);
    await pause(1000);
  }
  button.textContent = words;
}

async function submit(asking, place, say, shown = false) {
  const button = asking.querySelector("button");
  const error = asking.querySelector(".error");
  const field = asking.querySelector("#ports");
  const consent = asking.querySelector(".consent");
  error.textContent = "";
  field?.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    await test(new URLSearchParams(new FormData(asking)), place, say, shown);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    say("");
    error.textContent = failure.message;
    if (failure.status === 400 || failure.status === 422) field?.setAttribute("aria-invalid", "true");
    if (failure.status === 403) consent.hidden = false;
    if (failure.wait) await wait(button, failure.wait);
  } finally {
    button.disabled = false;
  }
}

// Shuts the doors as they were before the first test.
function reset(section) {
  section.querySelector(".summary").textContent = "";
  for (const piece of untested.cloneNode(true).children) turn(section, piece);
}

function added(to, text) {
  const section = parsed(text).querySelector(".run");
  to.append(section);
  return section;
}

// Asks this server's other names, which are reached by one family of addresses each, for the visitor's address there.
async function otherFamily() {
  for (const origin of other.dataset.origins.split(" ")) {
    const me = await fetch(`${origin}/api/v1/me`, { credentials: "omit" })
      .then((answer) => (answer.ok ? answer.json() : null))
      .catch(() => null);
    if (me && me.ip !== runs.dataset.ip) return me.token;
  }
  return null;
}

async function testOther(consented) {
  const token = await otherFamily();
  if (token === null) {
    other.querySelector("p").hidden = false;
    return;
  }
  const fields = new URLSearchParams({ ports: "main", token });
  if (consented) fields.set("consent", "yes");
  let section = null;
  await test(fields, (text) => (section = added(runs, text)), () => {}).catch((failure) => {
    const words = document.createElement("p");
    words.className = "error";
    words.textContent = failure.message;
    (section ?? other).append(words);
  });
}

async function testMain() {
  const section = runs.querySelector(".run");
  const say = (words) => (section.querySelector(".summary").textContent = words);
  for (const second of runs.querySelectorAll(".run ~ .run")) second.remove();
  reset(section);
  const tests = [submit(form, () => section, say, true)];
  if (other) tests.push(testOther(form.elements.consent.checked));
  await Promise.all(tests);
  form.querySelector("button").textContent = form.dataset.again;
}

function testMore() {
  const place = document.getElementById("more-runs");
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  place.replaceChildren(status);
  return submit(
    more,
    (text) => {
      status.textContent = "";
      const section = added(place, text);
      section.querySelector("h2")?.scrollIntoView({ block: "nearest" });
      return section;
    },
    (words) => (status.textContent = words),
  );
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    testMain();
  });
  more.addEventListener("submit", (event) => {
    event.preventDefault();
    testMore();
  });
  if ("begin" in form.dataset) testMain();
} else if (runs?.dataset.run) {
  const section = runs.querySelector(".run");
  follow(runs.dataset.run, () => section, runs.dataset.lost, true).catch((failure) => {
    section.querySelector(".summary").textContent = failure.message;
  });
}
