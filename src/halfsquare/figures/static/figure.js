/* Draws the figures of a page: specification and colours lie beside them as JSON, nothing is fetched. */
"use strict";

(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const island = (id) => JSON.parse(document.getElementById(id).textContent);
  const views = new Map();

  /** Give the signals named in `values` these values, where the figure has such signals. */
  const set = (view, values) => {
    const known = view.getState({ signals: (name) => name in values, data: () => false }).signals;
    for (const [name, value] of Object.entries(values)) if (name in known) view.signal(name, value);
    return view.runAsync();
  };

  const recolour = (view) => {
    const themes = island("themes");
    return set(view, dark.matches ? themes.dark : themes.light);
  };

  const draw = async (place) => {
    const inputs = place.parentElement.querySelector(".figure-inputs");
    const { view } = await window.vegaEmbed(place, island(place.dataset.spec), {
      mode: "vega",
      ast: true, // expressions are interpreted, never compiled: no unsafe-eval in the content policy
      actions: false,
      tooltip: false,
      defaultStyle: false,
      renderer: "svg",
      ...(inputs ? { bind: inputs } : {}),
    });
    await recolour(view);
    const svg = place.querySelector("svg");
    if (svg) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", place.dataset.label || view.description() || "Figure");
    }
    views.set(place.id, view);
    place.dispatchEvent(new CustomEvent("figure", { bubbles: true, detail: { view } }));
  };

  /** New signals and new rows, each where the figure has such a name. */
  const update = (view, { signals = {}, data = {} }) => {
    const known = view.getState({ signals: () => false, data: (name) => name in data }).data;
    for (const name of Object.keys(data)) if (name in known) view.data(name, data[name]);
    return set(view, signals);
  };

  window.halfsquare = { views, set, update };
  dark.addEventListener("change", () => views.forEach(recolour));
  window.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-spec]").forEach(draw));
})();
