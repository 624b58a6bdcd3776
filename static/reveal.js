// The reveal: asks for a value, shows it for a while, and forgets it. The value lives in one variable and one <pre>:
// never in an attribute, a URL, storage, or htmx's history. Copying always takes the exact string, whatever the view.
"use strict";
{
  let shown = null; // { value, region, holder, until, timer, warned } while a value is on the page
  let asking = null; // the AbortController of a reveal that is under way

  // --- Asking ------------------------------------------------------------------------------------------------------
  async function reveal(form) {
    const place = form.closest("[data-reveal]");
    const button = buttonOf(form);
    hide();
    asking?.abort();
    const mine = (asking = new AbortController());
    complain(place, form, {});
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(form, mine.signal);
      if (!mine.signal.aborted) show(place, form, answer);
    } catch (error) {
      if (!mine.signal.aborted) complain(place, form, error.facts || { error: "kvadmin cannot be reached. No value was shown. Check your connection, and try again." });
    } finally {
      button.disabled = false;
      form.removeAttribute("aria-busy");
      if (asking === mine) asking = null;
    }
  }

  async function ask(form, signal) {
    const response = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true", "HX-Current-URL": location.href, Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
      signal,
    });
    const elsewhere = response.headers.get("HX-Redirect");
    if (elsewhere) {
      location.assign(elsewhere);
      throw refusal({ error: "You are signed out." });
    }
    const type = response.headers.get("Content-Type") || "";
    if (!type.startsWith("application/json")) throw refusal({ error: sentenceOf(type, await response.text(), response.status) });
    const answer = await response.json();
    if (!response.ok || typeof answer.value !== "string") throw refusal(answer.error ? answer : { error: sentenceOf("", "", response.status) });
    return answer;
  }

  function refusal(facts) {
    return Object.assign(new Error("refused"), { facts });
  }

  // Shows why there is no value, or, without an error, takes the last complaint away.
  function complain(place, form, { error = "", advice = "", field = "", sign_in: signIn = "" }) {
    const holder = place.querySelector("[data-reveal-error]");
    holder.textContent = advice ? `${error} ${advice}` : error;
    if (signIn.startsWith("/") && !signIn.startsWith("//")) holder.append(" ", link(signIn, "Sign in again"));
    holder.hidden = !error;
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    const input = field && form.elements.namedItem(field);
    if (input) {
      input.setAttribute("aria-invalid", "true");
      input.focus();
    }
  }

  function link(href, text) {
    const anchor = document.createElement("a");
    Object.assign(anchor, { href, textContent: text });
    return anchor;
  }

  // --- Showing -----------------------------------------------------------------------------------------------------
  function show(place, form, { value, html }) {
    const holder = place.querySelector("[data-reveal-output]");
    holder.innerHTML = html; // rendered and escaped by the server; the value is not in it
    const region = holder.querySelector("[data-secret]");
    const seconds = Number(region.dataset.hideAfter) || 30;
    shown = { value, region, holder, form, until: Date.now() + seconds * 1000, timer: setInterval(tick, 250), warned: false };
    holder.hidden = false;
    form.hidden = true;
    place.querySelector("[data-reveal-mask]")?.toggleAttribute("hidden", true);
    describe(region, value);
    view("raw");
    tick();
    region.focus();
    say(`The value is shown, and hides itself in ${seconds} seconds.`);
  }

  function hide(sentence = "") {
    if (!shown) return;
    const { holder, form, region, timer } = shown;
    clearInterval(timer);
    shown = null;
    region.querySelector("[data-secret-value]").textContent = "";
    const hadFocus = holder.contains(document.activeElement);
    holder.replaceChildren();
    holder.hidden = !sentence;
    form.hidden = false;
    form.closest("[data-reveal]").querySelector("[data-reveal-mask]")?.removeAttribute("hidden");
    if (!sentence) return;
    const note = document.createElement("p");
    note.className = "muted";
    note.setAttribute("role", "status");
    note.textContent = sentence;
    holder.append(note);
    if (hadFocus) buttonOf(form).focus();
  }

  function buttonOf(form) {
    return form.querySelector("[data-reveal-button]");
  }

  function tick() {
    if (!shown) return;
    const left = Math.ceil((shown.until - Date.now()) / 1000);
    if (left <= 0) return hide("The value is hidden again, and gone from this page.");
    shown.region.querySelector("[data-secret-left]").textContent = `${left} s`;
    if (left <= 10 && !shown.warned) {
      shown.warned = true;
      say("The value hides in 10 seconds.");
    }
  }

  function say(sentence) {
    if (shown) shown.region.querySelector("[data-secret-message]").textContent = sentence;
  }

  function describe(region, value) {
    region.querySelector("[data-secret-facts]").textContent = facts(value);
    const invisible = (value.match(INVISIBLE) || []).length;
    tell(region, "[data-secret-invisible]", invisible && `${count(invisible, "invisible character")}: see “Escaped”`);
    const json = isJson(value);
    const decoded = json || PEM.test(value) ? null : decode(value);
    tell(region, "[data-secret-hint]", hint(value, json, decoded));
    region.querySelector('[data-secret-view="json"]').hidden = !json;
    region.querySelector('[data-secret-view="base64"]').hidden = !decoded;
  }

  function tell(region, selector, sentence) {
    const badge = region.querySelector(selector);
    badge.hidden = !sentence;
    badge.querySelector("span").textContent = sentence || "";
  }

  function facts(value) {
    if (value === "") return "Empty: 0 bytes";
    const ends = value.endsWith("\n");
    const lines = value.split("\n").length - (ends ? 1 : 0);
    const bytes = new TextEncoder().encode(value).length;
    return `${count(lines, "line")}, ${count(bytes, "byte")}, ${ends ? "ends with a line break" : "no line break at the end"}`;
  }

  function count(number, noun) {
    return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  }

  const PEM = /-----BEGIN ([A-Z0-9 ]+)-----/;

  function hint(value, json, decoded) {
    const pem = PEM.exec(value);
    if (pem) return `PEM: ${pem[1].toLowerCase()}`;
    if (json) return "Valid JSON";
    return decoded ? "Looks like base64" : "";
  }

  // --- Views -------------------------------------------------------------------------------------------------------
  const NOTES = {
    escaped: "Invisible characters are marked. Copy takes the exact value without the marks.",
    json: "Indented for reading. Copy takes the exact value as it is stored.",
    base64: "Decoded for reading. Copy takes the exact value as it is stored.",
  };

  function view(name) {
    if (!shown) return;
    const { region, value } = shown;
    const pre = region.querySelector("[data-secret-value]");
    if (name === "escaped") pre.replaceChildren(...escaped(value));
    else pre.textContent = name === "json" ? indent(value) : name === "base64" ? decode(value) : value;
    for (const button of region.querySelectorAll("[data-secret-view]")) button.setAttribute("aria-pressed", String(button.dataset.secretView === name));
    const note = region.querySelector("[data-secret-note]");
    note.textContent = NOTES[name] || "";
    note.hidden = !NOTES[name];
  }

  // Line breaks and tabs are marked in the escaped view, but only these others are worth a warning.
  const MARKS = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const NAMES = { "\u00a0": "NBSP", "\u00ad": "SHY", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ", "\u200e": "LRM", "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2060": "WJ", "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\ufeff": "BOM" };
  const INVISIBLE = /(?![\n\t])[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}|^ +| +$/gu;
  const PIECES = /([\\\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}|^ +| +$)/gu;

  function escaped(value) {
    return value.split(PIECES).filter((piece) => piece).map(mark);
  }

  function mark(piece) {
    const name = MARKS[piece] || (/^ +$/.test(piece) ? "␣".repeat(piece.length) : markOf(piece));
    if (!name) return document.createTextNode(piece);
    const node = document.createElement("mark");
    node.textContent = name;
    const whole = document.createDocumentFragment();
    whole.append(node, piece === "\n" ? "\n" : "");
    return whole;
  }

  function markOf(piece) {
    if (!/^[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\p{Zs}]$/u.test(piece)) return "";
    return `⟨${NAMES[piece] || "U+" + piece.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  }

  function isJson(value) {
    if (!/^\s*[{[]/.test(value)) return false;
    try {
      JSON.parse(value);
      return true;
    } catch {
      return false;
    }
  }

  // Indents token by token: parsing and printing again would change numbers such as 1.0 or 12345678901234567890.
  function indent(json) {
    let depth = 0;
    const pad = () => "\n" + "  ".repeat(depth);
    return json.replace(/\s*("(?:\\.|[^"\\])*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+)\s*/g, (_, token) => {
      if (token === "{" || token === "[") return token + (depth++, pad());
      if (token === "}" || token === "]") return (depth--, pad()) + token;
      if (token === ",") return token + pad();
      return token === ":" ? ": " : token;
    });
  }

  // What base64 holds: its text, or the first bytes in hexadecimal; null when it does not look like base64. Many a
  // password is made of the same letters, so bytes that are no text count only with more signs of it.
  function decode(value) {
    const text = value.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/");
    if (!/^(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9+/]{12,}={0,2}$/.test(text)) return null;
    let bytes;
    try {
      bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    } catch {
      return null;
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      if (!text.endsWith("=") && text.length < 80) return null;
      const hex = Array.from(bytes.slice(0, 256), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      return `${count(bytes.length, "byte")}, not text:\n${hex}${bytes.length > 256 ? " …" : ""}`;
    }
  }

  // --- Copying -----------------------------------------------------------------------------------------------------
  async function copy() {
    const { value } = shown;
    try {
      await navigator.clipboard.writeText(value);
      say("Copied, exactly. kvadmin cannot clear your clipboard: overwrite it when you are done, and mind a clipboard history.");
    } catch {
      view("raw");
      if (shown) getSelection().selectAllChildren(shown.region.querySelector("[data-secret-value]"));
      say("Not copied: the browser lets a page write to the clipboard only over HTTPS or on localhost. The value is selected: press Ctrl+C (⌘C).");
    }
  }

  // --- When ----------------------------------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-reveal-form]")) return;
    event.preventDefault();
    reveal(event.target);
  });
  document.addEventListener("click", (event) => {
    const button = shown && event.target.closest?.("[data-secret-copy], [data-secret-hide], [data-secret-view]");
    if (!button) return;
    if (button.matches("[data-secret-copy]")) copy();
    else if (button.matches("[data-secret-hide]")) hide("Hidden. The value is gone from this page.");
    else view(button.dataset.secretView);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && shown) hide("Hidden. The value is gone from this page.");
  });
  // Switching windows to paste is fine; the countdown goes on, and is looked at again on return (a laptop may sleep).
  document.addEventListener("visibilitychange", tick);
  window.addEventListener("pagehide", () => {
    asking?.abort();
    hide();
  });
  document.addEventListener("htmx:beforeHistorySave", () => hide());
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (shown && event.detail.shouldSwap && event.detail.target.contains(shown.region)) hide();
  });

  function enable(root) {
    for (const button of root.querySelectorAll("[data-reveal-button]")) button.disabled = false;
  }
  document.addEventListener("htmx:load", (event) => enable(event.detail.elt.parentNode || document));
  enable(document);
}
