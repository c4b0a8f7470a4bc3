/* The figures follow the reader's choice of light or dark on the page. */
"use strict";

(() => {
  const recolour = () => {
    const chosen = document.body.dataset.theme;
    const dark = chosen === "dark" || (chosen !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
    const themes = JSON.parse(document.getElementById("themes").textContent);
    for (const view of window.halfsquare.views.values()) window.halfsquare.set(view, dark ? themes.dark : themes.light);
  };
  document.addEventListener("figure", recolour);
  new MutationObserver(recolour).observe(document.body, { attributeFilter: ["data-theme"] });
})();
