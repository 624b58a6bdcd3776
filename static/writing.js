// Writing a value: exactly these bytes. A browser changes line breaks when it sends a form, and a text field keeps LF
// only; so the value is in no form: it is sent as JSON, and a file's content never passes through a text field.
"use strict";
{
  const form = document.querySelector("[data-writing]");
  let exact = null; // { text, name }: the content of a file, while one is chosen
  let seen = ""; // what the server has shown as the change; "" as soon as anything is different
  const part = (name) => form.querySelector(`[data-${name}]`);

  // --- The value -----------------------------------------------------------------------------------------------------
  function current() {
    if (exact) return exact.text;
    const text = part("value-text").value;
    return part("value-endings").value === "crlf" ? text.replaceAll("\n", "\r\n") : text;
  }

  function describe() {
    const value = current();
    const size = bytesOf(value);
    const most = Number(form.dataset.mostBytes);
    const bytes = part("value-bytes");
    bytes.textContent = `${size.toLocaleString("en")} of ${most.toLocaleString("en")} bytes`;
    bytes.classList.toggle("bad", size > most);
    const endings = lineEndings(value);
    part("value-facts").textContent = value === "" ? "Empty" : [count(value.split(/\r\n|\r|\n/).length - (/[\r\n]$/.test(value) ? 1 : 0), "line"), endings || "no line break", /[\r\n]$/.test(value) ? "ends with a line break" : "no line break at the end"].join(", ");
    const invisible = (value.match(INVISIBLE) || []).filter((piece) => piece !== "\r" || endings !== "CRLF").length;
    tell("value-invisible", invisible && `${count(invisible, "invisible character")}`);
    const json = isJson(value);
    tell("value-hint", notJson(value, json) || hint(value, json, json || PEM.test(value) ? null : decode(value)));
    if (!part("value-escaped").hidden) part("value-escaped").replaceChildren(...escaped(value));
    complain("value", size > most ? `${size.toLocaleString("en")} bytes: Azure takes ${most.toLocaleString("en")} at most.` : "");
  }

  // Half a surrogate pair is no character: UTF-8 has no bytes for it, and it must not become another one.
  function isText(value) {
    return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value);
  }

  function notJson(value, json) {
    const said = form.elements.namedItem("content_type").value.toLowerCase().includes("json");
    return said && value && !json ? "The content type says JSON, and this is none" : "";
  }

  function tell(name, sentence) {
    const badge = part(name);
    badge.hidden = !sentence;
    badge.querySelector("span").textContent = sentence || "";
  }

  // --- A file, and what was pasted -------------------------------------------------------------------------------------
  async function take(file) {
    part("value-note").textContent = "";
    const bytes = new Uint8Array(await file.arrayBuffer());
    try {
      use(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), file.name);
    } catch {
      if (bytes.length > 1_000_000) return note("This file is no text, and far too large for a secret.");
      use(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")), file.name);
      note("This file is not text in UTF-8. Azure keeps text only, so its bytes are taken as base64.");
    }
  }

  function use(text, name) {
    exact = { text, name };
    part("value-file-name").textContent = name;
    showSource();
  }

  function showSource() {
    part("value-exact").hidden = !exact;
    part("value-typed").hidden = Boolean(exact);
    changed();
  }

  function note(sentence) {
    part("value-note").textContent = sentence;
  }

  function drop() {
    exact = null;
    part("value-file").value = "";
    note("");
    showSource();
    part("value-text").focus();
  }

  function pasted(event) {
    const text = event.clipboardData?.getData("text/plain") || "";
    const endings = lineEndings(text);
    if (endings === "" || endings === "LF") return;
    if (endings === "CRLF" && part("value-text").value === "") part("value-endings").value = "crlf";
    note(`What you pasted has other line breaks than LF (${endings}). A text field keeps LF only: choose below what is written, or take a file for the exact bytes.`);
  }

  // --- Sending -------------------------------------------------------------------------------------------------------
  function changed() {
    seen = "";
    part("review").replaceChildren();
    lead();
    describe();
  }

  // The one button that leads on: to what will change, and then to writing it.
  function lead() {
    part("review-button").classList.toggle("primary", !part("review").querySelector("[data-write]"));
  }

  function fields() {
    const sent = new URLSearchParams(new FormData(form));
    sent.set("seen", seen);
    return sent;
  }

  async function send(body, type) {
    const response = await fetch(form.action, {
      method: "POST",
      body,
      headers: { "Content-Type": type, "X-CSRFToken": await currentToken(), "HX-Request": "true", "HX-Current-URL": location.href, Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
    });
    const signIn = signInFirst(response);
    if (signIn) return { ok: false, facts: { error: SIGN_IN_FIRST, signIn } };
    const kind = response.headers.get("Content-Type") || "";
    const facts = kind.startsWith("application/json") ? await response.json() : { error: sentenceOf(kind, await response.text(), response.status) };
    return { ok: response.ok, facts };
  }

  async function review() {
    const value = current();
    if (!isText(value)) return complain("value", "The value holds half a character, which no text can.");
    if (bytesOf(value) > Number(form.dataset.mostBytes)) return describe();
    const { facts } = await send(fields().toString(), "application/x-www-form-urlencoded");
    if (!facts.html) return refused(facts);
    refused({});
    seen = facts.seen;
    part("review").innerHTML = facts.html; // rendered and escaped by the server, which has not been sent the value
    for (const place of form.querySelectorAll("[data-review-value]")) place.textContent = value === "" ? "an empty value of 0 bytes" : `a new value of ${count(bytesOf(value), "byte")}`;
    lead();
    part("review").querySelector("h2").focus();
  }

  async function write() {
    const { ok, facts } = await send(JSON.stringify({ form: fields().toString(), value: current() }), "application/json");
    if (ok && facts.next) {
      forget();
      location.assign(facts.next);
    } else if (facts.html && facts.mark !== undefined) {
      seen = facts.seen;
      part("review").innerHTML = facts.html;
      lead();
      part("review").querySelector("h2").focus();
    } else {
      refused(facts);
    }
  }

  function refused({ error = "", errors = {}, field = "", html = "", signIn = null }) {
    const holder = part("write-error");
    holder.hidden = !error;
    holder.querySelector("p").textContent = error;
    holder.querySelector("[data-write-more]").innerHTML = html;
    if (signIn) holder.querySelector("[data-write-more]").append(signIn);
    if (field) errors = { [field]: error };
    for (const place of form.querySelectorAll("[data-error-for]")) complain(place.dataset.errorFor, errors[place.dataset.errorFor] || "");
    const first = Object.keys(errors).map((name) => form.elements.namedItem(name)).find((input) => input?.focus);
    if (first) first.focus();
    else if (error) holder.focus();
  }

  function complain(name, sentence) {
    const place = form.querySelector(`[data-error-for="${name}"]`);
    if (!place) return;
    place.textContent = sentence;
    place.hidden = !sentence;
    const input = name === "value" ? part("value-text") : form.elements.namedItem(name);
    if (input?.setAttribute) input.toggleAttribute("aria-invalid", Boolean(sentence));
    if (sentence && input?.setAttribute) input.setAttribute("aria-invalid", "true");
  }

  async function once(work, button) {
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch {
      refused({ error: "kvadmin cannot be reached, so it is not known whether anything was written. Look at the secret before you try again." });
    } finally {
      button.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  function forget() {
    exact = null;
    part("value-text").value = "";
    part("value-file").value = "";
    showSource(); // a page that comes back by the browser's history must not offer to write what is no longer in it
  }

  // --- When ------------------------------------------------------------------------------------------------------------
  function start() {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter || part("review-button");
      once(button.matches("[data-write]") ? write : review, button);
    });
    form.addEventListener("input", (event) => {
      if (event.target.matches("[data-value-file]") || event.target.closest("[data-review], [data-generator]")) return;
      changed();
    });
    form.addEventListener("change", (event) => {
      if (event.target.matches("[data-value-file]") && event.target.files[0]) take(event.target.files[0]);
    });
    part("value-text").addEventListener("paste", pasted);
    form.addEventListener("click", (event) => {
      const button = event.target.closest("[data-value-drop], [data-value-show], [data-rebase]");
      if (!button) return;
      if (button.matches("[data-value-drop]")) drop();
      else if (button.matches("[data-value-show]")) showEscaped(button);
      else rebase(button);
    });
    window.addEventListener("pagehide", forget);
    part("review-button").disabled = false;
    describe();
  }

  function showEscaped(button) {
    const shows = part("value-escaped").hidden;
    button.setAttribute("aria-pressed", String(shows));
    part("value-escaped").hidden = !shows;
    part("value-escaped").replaceChildren(...(shows ? escaped(current()) : []));
  }

  // Somebody was faster; the person has seen it, and still wants theirs on top of it.
  function rebase(button) {
    form.elements.namedItem("mark").value = button.dataset.rebase;
    seen = "";
    once(review, part("review-button"));
  }

  if (form) start();
}
