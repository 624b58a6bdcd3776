// Security keys: a form that asks the browser for a key's answer first, and is sent with it. The answer is no secret.
"use strict";
{
  function bytes(text) {
    const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  function text(buffer) {
    const characters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
    return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  }

  // What the server sends as base64url is bytes to the browser.
  function parsed(options) {
    const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
    const found = { ...options, challenge: bytes(options.challenge) };
    if (options.user) found.user = { ...options.user, id: bytes(options.user.id) };
    if (options.excludeCredentials) found.excludeCredentials = named(options.excludeCredentials);
    if (options.allowCredentials) found.allowCredentials = named(options.allowCredentials);
    return found;
  }

  function told(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    const { id, type } = credential;
    return JSON.stringify({ id, type, rawId: text(credential.rawId), response, clientExtensionResults: credential.getClientExtensionResults() });
  }

  const SENTENCES = {
    InvalidStateError: "This key is added already.",
    NotAllowedError: "No key answered in time, or you cancelled it. Try again.",
    SecurityError: "Security keys need HTTPS and a host name.",
  };

  async function ask(form) {
    const error = form.querySelector("[data-security-key-error]");
    error.hidden = true;
    try {
      const publicKey = parsed(JSON.parse(form.dataset.options));
      const credential = await navigator.credentials[form.dataset.securityKey]({ publicKey });
      form.elements.namedItem("credential").value = told(credential);
      form.submit();
    } catch (exception) {
      error.querySelector("div").textContent = SENTENCES[exception.name] || "This browser cannot use a security key here.";
      error.hidden = false;
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-security-key]") || event.target.elements.namedItem("code")?.value) return;
    event.preventDefault();
    ask(event.target);
  });
}
