// The lesson's page: takes in what changes, passes on what is asked. All state is the server's; a page that was lost
// for a while gets all of it again.
"use strict";

const lesson = document.body.dataset.lesson;
const lost = document.getElementById("lost");
const output = document.getElementById("output");
const stored = "workbook-keys";

// Replaces a region, and keeps what the reader does in it: the focus, and what is folded open.
function put(name, markup) {
  const region = document.getElementById(name);
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const opened = [...region.querySelectorAll("details[open]")].map((one) => one.id);
  const index = focused ? focusable(region).indexOf(focused) : -1;
  region.innerHTML = markup; // made by the server's templates, which escape all that is not theirs
  for (const id of opened) {
    const one = document.getElementById(id);
    if (one) one.open = true;
  }
  if (focused) (focusable(region)[index] || document.getElementById("content")).focus();
}

function focusable(region) {
  return [...region.querySelectorAll("a[href], button, summary, [tabindex]")];
}

// What can be asked now, by what the regions say.
function adapt() {
  const state = document.querySelector("#status .state");
  const steps = document.querySelector("#steps .steps");
  if (!state || !steps) return;
  document.title = state.dataset.title;
  const busy = state.dataset.busy;
  const off = {
    stop: !busy,
    diff: steps.dataset.done !== "true",
    next: !steps.dataset.next,
    check: busy, all: busy, judge: busy, compare: busy, run: busy,
  };
  for (const button of document.querySelectorAll("button[data-ask]")) {
    button.setAttribute("aria-disabled", String(Boolean(off[button.dataset.ask])));
  }
}

async function ask(button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const address = `/ask/${button.dataset.ask}?lesson=${encodeURIComponent(button.dataset.ask === "next" ? "" : lesson)}`;
  try {
    const answer = await fetch(address, { method: "POST" });
    if (!answer.ok) say(`The workbook refused: ${answer.status} ${await answer.text()}`);
  } catch {
    say("The workbook does not answer. Is it still running?");
  }
}

function say(words) {
  lost.textContent = words;
  lost.hidden = !words;
}

function print(message) {
  const run = document.getElementById("run");
  run.hidden = run.hidden && !message.text && !message.end;
  const below = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
  if (message.again) output.textContent = "";
  output.append(message.text);
  if (below) output.scrollTop = output.scrollHeight;
  document.getElementById("end").textContent = message.end;
}

function listen() {
  const events = new EventSource("/events");
  events.onopen = () => say("");
  events.onerror = () => {
    const ended = events.readyState === EventSource.CLOSED;
    say(ended ? "The workbook has ended. Run workbook page again, and open the address that it prints."
      : "The connection is lost; trying again.");
  };
  events.addEventListener("lesson", (event) => {
    if (event.data !== lesson) location.reload();
  });
  for (const name of ["status", "steps", "verdict", "answer"]) {
    events.addEventListener(name, (event) => {
      put(name, event.data);
      adapt();
    });
  }
  events.addEventListener("output", (event) => print(JSON.parse(event.data)));
}

// Single keys, as in the terminal; they can be turned off (WCAG 2.1.4).
function keys() {
  const box = document.getElementById("keys");
  box.checked = localStorage.getItem(stored) !== "off";
  box.addEventListener("change", () => localStorage.setItem(stored, box.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary, input")) return;
    const button = document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    if (!button) return;
    event.preventDefault();
    ask(button);
  });
}

for (const button of document.querySelectorAll("button[data-ask]")) {
  button.addEventListener("click", () => ask(button));
}
keys();
adapt();
listen();
