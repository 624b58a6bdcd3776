// The generator: asks for a value by the rules beside it and puts it into one field. It keeps no copy of its own.
"use strict";
{
  async function generate(place) {
    const words = place.querySelector("[data-generator-words]");
    const button = place.querySelector("[data-generate]");
    const inputs = [...place.querySelectorAll("[name]")];
    for (const input of inputs) input.removeAttribute("aria-invalid");
    button.disabled = true;
    try {
      const answer = await ask(place, inputs);
      fill(document.getElementById(place.dataset.generator), answer.value);
      words.textContent = `Put into the field: ${answer.words}`;
    } catch (error) {
      words.textContent = error.facts?.error || "kvadmin cannot be reached. Nothing was generated.";
      if (error.facts?.signIn) words.append(" ", error.facts.signIn);
      const wrong = inputs.find((input) => input.name === error.facts?.field);
      wrong?.setAttribute("aria-invalid", "true");
      wrong?.focus();
    } finally {
      button.disabled = false;
    }
  }

  async function ask(place, inputs) {
    const asked = inputs.filter((input) => input.type !== "checkbox" || input.checked).map((input) => [input.name, input.value]);
    const response = await fetch(place.dataset.generatorUrl, {
      method: "POST",
      body: new URLSearchParams(asked),
      headers: { "X-CSRFToken": await currentToken(), "HX-Request": "true", "HX-Current-URL": location.href, Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
    });
    const signIn = signInFirst(response);
    if (signIn) throw Object.assign(new Error("refused"), { facts: { error: SIGN_IN_FIRST, signIn } });
    const type = response.headers.get("Content-Type") || "";
    const facts = type.startsWith("application/json") ? await response.json() : { error: sentenceOf(type, await response.text(), response.status) };
    if (!response.ok || typeof facts.value !== "string") throw Object.assign(new Error("refused"), { facts });
    return facts;
  }

  // The field's own listeners count bytes and compare, so they are told.
  function fill(field, value) {
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-generate]");
    if (button) generate(button.closest("[data-generator]"));
  });
  // Enter in the rules generates; it must not send the form around them.
  document.addEventListener("keydown", (event) => {
    const place = event.key === "Enter" && event.target.matches?.("[data-generator] input") && event.target.closest("[data-generator]");
    if (!place) return;
    event.preventDefault();
    generate(place);
  });
}
