// Behaviour that every page shares. Pages ask for it with data attributes; nothing here knows a particular page.
"use strict";

// --- Theme: as the system, light, dark -----------------------------------------------------------------------------
const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function showTheme() {
  const theme = document.documentElement.dataset.theme || "auto";
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.hidden = false;
    button.title = THEMES[theme];
    button.querySelector("[data-theme-name]").textContent = THEMES[theme];
    for (const icon of button.querySelectorAll("[data-theme-icon]")) icon.hidden = icon.dataset.themeIcon !== theme;
  }
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const theme = names[(names.indexOf(document.documentElement.dataset.theme || "auto") + 1) % names.length];
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("kvadmin-theme", theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  showTheme();
}

// --- Messages ------------------------------------------------------------------------------------------------------
function toast(sentence) {
  const holder = document.getElementById("toasts");
  for (const old of holder.children) if (old.querySelector("[data-toast-text]").textContent === sentence) old.remove();
  const notice = document.getElementById("toast").content.cloneNode(true);
  notice.querySelector("[data-toast-text]").textContent = sentence;
  holder.append(notice);
  while (holder.children.length > 3) holder.firstElementChild.remove();
}

const BY_STATUS = {
  401: "You are signed out. Reload the page to sign in again.",
  403: "This was refused. Reload the page: it may be out of date.",
  404: "What this page asked for is not there any more. Reload it.",
  413: "That is too much text for one request.",
  429: "That was too often. Wait a moment, and try again.",
  502: "Azure, behind kvadmin, did not give a usable answer.",
  503: "kvadmin is not available just now. Try again in a minute.",
  504: "kvadmin took too long to answer. Try again.",
};

// The server answers htmx with one plain sentence; anything else (a proxy's error page) is told by its status.
function sentenceOf(type, text, status) {
  if ((type || "").startsWith("text/plain") && text && text.length <= 600) return text;
  return BY_STATUS[status] || `kvadmin could not do this (status ${status}). Try again.`;
}

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  toast(sentenceOf(xhr.getResponseHeader("Content-Type"), xhr.responseText, xhr.status));
});
document.addEventListener("htmx:sendError", () => toast("kvadmin cannot be reached. Check your connection, and try again."));
document.addEventListener("htmx:timeout", () => toast(BY_STATUS[504]));

// --- htmx: the CSRF token, and what waits ---------------------------------------------------------------------------
function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content || "";
}

// A script whose page holds what is kept nowhere else, such as a value, is not led away when a sign-in comes between: it
// shows this sentence with its link. The sign-in happens in another tab, and this page goes on.
const SIGN_IN_FIRST = "A sign-in comes between: nothing was done, and what you typed or chose is still here. Sign in in another tab, come back to this one, and try again.";

function signInFirst(response) {
  const where = response.headers.get("HX-Redirect") || "";
  if (!where.startsWith("/") || where.startsWith("//")) return null;
  return Object.assign(document.createElement("a"), { href: where, textContent: "Sign in (new tab)", target: "_blank", rel: "noopener" });
}

// The token of the session as it is now: this page may be older. If somebody else signed in meanwhile, it is the page's
// own, which is refused then: what one person typed is never sent in the name of another.
async function currentToken() {
  const response = await fetch("/help/", { headers: { "HX-Request": "true" }, cache: "no-store", credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = page.querySelector('meta[name="csrf-token"]')?.content;
  const person = (from) => from.querySelector("[data-person]")?.dataset.person;
  return token && person(page) === person(document) ? token : csrfToken();
}

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = csrfToken();
  // What a page asks for by the clock is no sign that somebody sits there: it keeps no session alive.
  if (!event.detail.triggeringEvent) event.detail.headers["X-By-Itself"] = "true";
});
document.addEventListener("htmx:beforeRequest", (event) => event.detail.target?.setAttribute("aria-busy", "true"));
document.addEventListener("htmx:afterRequest", (event) => event.detail.target?.removeAttribute("aria-busy"));

// --- Keyboard ------------------------------------------------------------------------------------------------------
let goUntil = 0; // after "g", the next key is a place, for a moment

function isTyping(target) {
  return target.isContentEditable || target.closest("input, textarea, select, [role='textbox']") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
  const going = performance.now() < goUntil;
  goUntil = event.key === "g" && !going ? performance.now() + 1500 : 0;
  const goal = going ? document.querySelector(`[data-go="${CSS.escape(event.key)}"]`) : null;
  if (goal) goal.click();
  else if (event.key === "/") document.querySelector('[data-key="/"]')?.select();
  else if (event.key === "?") openDialog("keys");
  else return;
  event.preventDefault();
});

// --- Dialogs, copying of names, theme: one listener ------------------------------------------------------------------
function openDialog(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
  return dialog !== null;
}

async function copyName(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast(`Copied: ${button.dataset.copy}`);
  } catch {
    toast("The browser does not let this page write to the clipboard. Select the text, and copy it by hand.");
  }
}

document.addEventListener("click", (event) => {
  const part = event.target.closest?.("[data-theme-switch], [data-dialog], [data-copy], [data-toast-close], dialog");
  if (!part) return;
  if (part.matches("[data-theme-switch]")) nextTheme();
  else if (part.matches("[data-copy]")) copyName(part);
  else if (part.matches("[data-toast-close]")) part.closest(".notice").remove();
  else if (part.matches("[data-dialog]") && !event.ctrlKey && !event.metaKey && openDialog(part.dataset.dialog)) event.preventDefault();
  else if (event.target === part && part.matches("dialog")) part.close(); // on the backdrop
});

// --- Forms: a question before an act, and only the fields that a scope needs ------------------------------------------
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // htmx waits for the answer, too
  askFirst(form, event.submitter);
}, true);

function askFirst(form, submitter) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("[data-confirm-text]").textContent = form.dataset.confirm;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter);
    delete form.dataset.confirmed;
  }, { once: true });
  dialog.showModal();
}

const SCOPE_FIELDS = { everything: [], environment: ["environment"], subscription: ["subscription"], vault: ["vault"], prefix: ["vault", "prefix"] };

function showScope(form) {
  const needed = SCOPE_FIELDS[form.elements.namedItem("scope_kind")?.value];
  if (!needed) return;
  for (const name of ["environment", "subscription", "vault", "prefix"]) {
    const field = form.elements.namedItem(name)?.closest(".field");
    if (field) field.hidden = !needed.includes(name);
  }
}

document.addEventListener("change", (event) => {
  if (event.target.name === "scope_kind") showScope(event.target.form);
});
document.querySelectorAll("[data-scope-form]").forEach(showScope);

// --- What was typed before a sign-in came between: into its form again ------------------------------------------------
function fillDraft(notice) {
  const fits = (form) => new URL(form.action).pathname === notice.dataset.draft;
  const form = [...document.querySelectorAll("form[method=post]")].find(fits);
  for (const typed of notice.querySelectorAll("[data-draft-field]")) {
    const field = form?.elements.namedItem(typed.dataset.draftField);
    if (field && field.type !== "hidden") field.value = typed.textContent;
  }
  form?.closest("details")?.setAttribute("open", "");
}
document.querySelectorAll("[data-draft]").forEach(fillDraft);

// --- Forms: one that comes back wrong begins where it is wrong ---------------------------------------------------------
if (!document.querySelector("main [autofocus]")) document.querySelector('main [aria-invalid="true"]')?.focus();

// --- Forms: parts that belong to one choice only, as data-for-choice="FIELD WORD WORD" says -----------------------------
function showChoices() {
  for (const part of document.querySelectorAll("[data-for-choice]")) {
    const [name, ...words] = part.dataset.forChoice.split(" ");
    part.hidden = !words.includes(part.closest("form")?.elements.namedItem(name)?.value);
  }
}
document.addEventListener("change", showChoices);
showChoices();

// --- Tables: a tick for all ----------------------------------------------------------------------------------------------
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-tick-all]")) return;
  for (const box of event.target.closest("table").querySelectorAll("tbody input[type=checkbox]")) box.checked = event.target.checked;
});

// --- Times: UTC on the page, local on hover --------------------------------------------------------------------------
document.addEventListener("pointerover", (event) => {
  const time = event.target.closest?.("time[datetime]");
  if (!time || time.title) return;
  const moment = new Date(time.dateTime);
  const local = moment.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  time.title = `${local} (your time)\n${moment.toISOString().slice(0, 19).replace("T", " ")}Z`;
});

showTheme();
