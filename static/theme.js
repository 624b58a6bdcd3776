// Runs before the first paint, so that a chosen theme never flashes. The choice is the only thing kvadmin stores.
"use strict";
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("kvadmin-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off: the system's theme is used.
}
