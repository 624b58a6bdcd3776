// The import: the file stays in one variable of this page. It is sent to be previewed, and once more to be written, as
// JSON; what comes back are names, sizes and sentences, never a value. Leaving the page forgets it.
"use strict";
{
  const form = document.querySelector("[data-import]");
  const part = (name) => form.querySelector(`[data-import-${name}]`);
  let file = null; // { name, content: base64 }

  async function take(chosen) {
    file = null;
    forget();
    complain("");
    part("output").replaceChildren();
    if (!chosen) return;
    if (chosen.size > Number(form.dataset.mostBytes)) return complain("This file is larger than what is taken at a time. Split it.");
    const bytes = new Uint8Array(await chosen.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    file = { name: chosen.name, content: btoa(text) };
    await send(false);
  }

  // What was previewed holds no longer: nothing can be written until it is previewed again.
  function forget() {
    form.elements.namedItem("seal").value = "";
    part("confirm").hidden = true;
  }

  function complain(sentence, field = "", signIn = null) {
    const holder = part("error");
    holder.textContent = sentence;
    if (signIn) holder.append(" ", signIn);
    holder.hidden = !sentence;
    const input = field && form.elements.namedItem(field);
    if (input instanceof HTMLElement) input.focus();
  }

  function fields(writing) {
    const data = new URLSearchParams(new FormData(form));
    if (form.querySelector("[name^=name-]")) data.set("chosen", "on");
    if (!writing) data.delete("seal");
    return data.toString();
  }

  async function send(writing) {
    if (!file) return complain("Choose a file first.");
    complain("");
    form.setAttribute("aria-busy", "true");
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    try {
      show(await ask(writing), writing);
    } catch (error) {
      complain(error.facts?.error || "kvadmin cannot be reached. It is not known whether anything was written: look at the vault.", error.facts?.field, error.facts?.signIn);
    } finally {
      form.removeAttribute("aria-busy");
      for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
  }

  async function ask(writing) {
    const response = await fetch(form.action, {
      method: "POST",
      body: JSON.stringify({ form: fields(writing), name: file.name, content: file.content }),
      headers: { "Content-Type": "application/json", "X-CSRFToken": await currentToken(), "HX-Request": "true", "HX-Current-URL": location.href, Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
    });
    const signIn = signInFirst(response);
    if (signIn) throw Object.assign(new Error("refused"), { facts: { error: SIGN_IN_FIRST, signIn } });
    const type = response.headers.get("Content-Type") || "";
    if (!type.startsWith("application/json")) throw Object.assign(new Error("refused"), { facts: { error: sentenceOf(type, await response.text(), response.status) } });
    const facts = await response.json();
    if (!facts.html) throw Object.assign(new Error("refused"), { facts });
    return facts;
  }

  function show(facts, written) {
    part("output").innerHTML = facts.html; // rendered and escaped by the server; no value is in it
    part("unwritten").hidden = written;
    form.elements.namedItem("seal").value = facts.seal;
    part("confirm").hidden = !facts.seal || !facts.todo;
    complain(facts.error);
    part("output").focus();
  }

  part("file").addEventListener("change", (event) => take(event.target.files[0]));
  part("preview").addEventListener("click", () => send(false));
  form.addEventListener("change", (event) => {
    if (!event.target.matches("[data-import-file], [name=reason]")) forget();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(Boolean(form.elements.namedItem("seal").value));
  });
  window.addEventListener("pagehide", () => {
    file = null;
    forget();
    part("output").replaceChildren();
  });
}
