// Properties of a version: another row for a tag, and what a moment in UTC is on the reader's own clock.
"use strict";
{
  function addTag(button) {
    const row = button.closest("fieldset").querySelector("template").content.cloneNode(true);
    const first = row.querySelector("input");
    button.closest("fieldset").querySelector("[data-tags]").append(row);
    first.focus();
  }

  function tellLocal(input) {
    const place = document.querySelector(`[data-local-of="${input.name}"]`);
    if (!place) return;
    const moment = new Date(`${input.value}Z`);
    place.textContent = input.value && !Number.isNaN(moment.getTime()) ? `On your clock: ${moment.toLocaleString([], { dateStyle: "full", timeStyle: "long" })}` : "";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-add-tag]");
    if (button) addTag(button);
  });
  document.addEventListener("input", (event) => {
    if (event.target.type === "datetime-local") tellLocal(event.target);
  });
  document.querySelectorAll('input[type="datetime-local"]').forEach(tellLocal);
}
