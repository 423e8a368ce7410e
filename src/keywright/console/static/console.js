// What pages do beyond HTML: nothing that cannot be done without, but for copying.
"use strict";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const brief = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

// Times in the viewer's zone; the exact one shows where the pointer rests.
function tellTimes(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.textContent = (time.dataset.brief ? day : brief).format(moment);
    time.title = `${exact.format(moment)} (${time.dateTime})`;
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const told = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
    told.textContent = "The token is in the clipboard.";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
    told.textContent = "The token is selected: copy it with the keyboard.";
  }
}

tellTimes(document);
document.addEventListener("htmx:after:swap", () => tellTimes(document));
// A field that is left asks for what it has asked for already: that is no other place for Back.
document.addEventListener("htmx:before:history:update", (event) => {
  if (event.detail.history.path === location.pathname + location.search) event.preventDefault();
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

// A second click would ask for the same thing again, and its answer would not have the token.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
});
// Shown again by Back: it can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-busy");
  }
});

// A browser may keep a page that was left, whole and in its memory, for Back: not with a token.
addEventListener("pagehide", () => {
  document.getElementById("token")?.replaceChildren();
});

// Where the sections are wider than the screen, the one that is shown is in sight.
const section = document.querySelector(".sections [aria-current]");
if (section) section.parentElement.scrollLeft = section.offsetLeft - section.parentElement.offsetLeft;

// The account menu closes when something else is wanted. Back may bring another one (htmx).
const account = () => document.querySelector("details.account");
document.addEventListener("click", (event) => {
  const menu = account();
  if (menu && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = account();
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
