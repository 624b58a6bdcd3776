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
    spend(place);
    describe(region, value);
    view("raw");
    tick();
    region.focus();
    say(`The value is shown, and hides itself in ${seconds} seconds.`);
  }

  // A grant for one time is used up now: neither its notice nor its button may promise another.
  function spend(place) {
    const grant = place.querySelector("[data-reveal-once]");
    if (!grant) return;
    grant.hidden = true;
    place.querySelector("[data-reveal-spent]").hidden = false;
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
    const place = form.closest("[data-reveal]");
    const spent = place.querySelector("[data-reveal-spent]:not([hidden])");
    form.hidden = Boolean(spent);
    place.querySelector("[data-reveal-mask]")?.toggleAttribute("hidden", form.hidden);
    if (!sentence) return;
    const note = document.createElement("p");
    note.className = "muted";
    note.setAttribute("role", "status");
    note.textContent = sentence;
    holder.append(note);
    if (hadFocus) (spent?.querySelector("a:last-child") || buttonOf(form)).focus();
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
