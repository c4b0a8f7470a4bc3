/* The sliders of a report: what the fields say is predicted at once, in the page itself. */
"use strict";

(() => {
  const model = JSON.parse(document.getElementById("model").textContent);
  const form = document.getElementById("whatif-form");
  const predict = halfsquarePredictor(model);
  window.halfsquare = { predict };

  const fields = [...form.querySelectorAll("[data-feature]")];
  /** What a field says, as the model's raw value. */
  const rawOf = (field) => {
    const kind = field.type === "select-one" ? "choice" : field.type, text = field.value;
    if (kind === "choice") {
      const presence = model.features[Number(field.dataset.feature)].kind === "presence";
      if (presence) return text === "missing" ? (model.features[Number(field.dataset.feature)].text ? -1 : NaN) : 0;
      return text === "missing" ? -1 : text === "other" ? -2 : Number(text);
    }
    if (text === "") return NaN;
    if (kind === "number") return Number(text);
    return Date.parse(`${kind === "time" ? `1970-01-01T${text}` : text}Z`) / 1000;
  };

  /** Four significant digits, as in the tables. */
  const written = (x) => {
    if (!Number.isFinite(x)) return Number.isNaN(x) ? "not known" : x > 0 ? "∞" : "−∞";
    const size = Math.abs(x);
    if (size >= 1e9 || (size > 0 && size < 1e-4)) return x.toExponential(3).replaceAll("-", "−");
    const digits = { maximumSignificantDigits: size >= 1e4 ? 21 : 4, maximumFractionDigits: size >= 1e4 ? 0 : undefined };
    const rounded = size >= 1e4 ? Number(x.toPrecision(4)) : x;
    return rounded.toLocaleString("en", { ...digits, useGrouping: size >= 1e4 }).replace("-", "−");
  };

  const place = (id) => document.getElementById(`whatif-${id}`);
  const show = () => {
    const { output, ends: [low, high] } = predict(fields.map(rawOf));
    place("output").textContent = written(output);
    const known = !Number.isNaN(low) && !Number.isNaN(high);
    place("interval").textContent = known ? `95 % of such rows lie between ${written(low)} and ${written(high)}.` : "How far the truth may lie from it is not known.";
    const beyond = fields.filter((f) => f.dataset.low && f.value !== "" && (Number(f.value) < Number(f.dataset.low) || Number(f.value) > Number(f.dataset.high)));
    place("outside").textContent = beyond.length ? `Outside the training range: ${beyond.map((f) => f.dataset.name).join(", ")}.` : "";
  };

  form.addEventListener("input", (event) => {
    const other = document.getElementById(event.target.dataset.mirror || "");
    if (other && event.target.value !== "") other.value = event.target.value;
    if (form.checkValidity()) show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
