/* Keeps a page's form, figures and words together. The numbers come from the server, which runs the real code. */
"use strict";

(() => {
  const form = document.querySelector("form[data-part]");
  const answer = document.getElementById("answer");
  if (!form || !answer) return;
  let latest = 0;
  let waiting = null;

  const query = () => new URLSearchParams(new FormData(form)).toString();
  const bound = () => form.querySelectorAll("[data-signal]");
  const valueOf = (input) => (input.type === "number" || input.type === "range" ? input.valueAsNumber : input.value);
  const active = (input) => input.type !== "radio" || input.checked;

  /** What is wrong stands above the answer, which stays: somebody is still typing. */
  const problem = document.createElement("p");
  problem.className = "card problem";
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  answer.before(problem);
  let telling = null;
  const say = (words, wait = 0) => {
    clearTimeout(telling);
    if (!words) {
      problem.hidden = true;
      problem.textContent = "";
      return;
    }
    telling = setTimeout(() => {
      problem.textContent = words;
      problem.hidden = false;
    }, wait);
  };

  /** Ask the server for the words and the rows that belong to what the form says now. */
  const refresh = async () => {
    const mine = ++latest;
    const asked = query();
    try {
      const reply = await fetch(`${form.dataset.part}?${asked}`, { headers: { accept: "application/json" } });
      const found = await reply.json();
      if (mine !== latest || waiting !== null) return; // a later question is on its way, or about to be
      if (!reply.ok) return say(found.error);
      say("");
      answer.innerHTML = found.html; // escaped by the server's templates
      for (const view of window.halfsquare.views.values()) await window.halfsquare.update(view, found);
      history.replaceState(null, "", `?${asked}`);
    } catch {
      if (mine === latest) say("The server does not answer. Start it again with: halfsquare serve");
    }
  };

  const soon = () => {
    if (waiting === null) waiting = setTimeout(() => { waiting = null; refresh(); }, 60);
  };

  const onInput = (event) => {
    const source = event && event.target;
    if (source && source.dataset && source.dataset.mirror) {
      const other = document.getElementById(source.dataset.mirror);
      if (other && source.value !== "") other.value = source.value;
    }
    if (source && source.dataset && source.dataset.column) form.elements.touched.value = source.dataset.column;
    form.querySelectorAll("[data-low]").forEach(warn);
    if (!form.checkValidity()) {
      latest += 1; // whatever is still on its way answers an older question
      clearTimeout(waiting);
      waiting = null;
      return say("Type a number, such as 2.5.", 900); // "-5" begins with "-"
    }
    const signals = {};
    for (const input of bound()) if (active(input)) signals[input.dataset.signal] = valueOf(input);
    for (const view of window.halfsquare.views.values()) window.halfsquare.set(view, signals);
    form.querySelectorAll("[data-steps]").forEach(nameStep);
    soon();
  };

  /** A value outside the training range is allowed, and said. */
  const warn = (input) => {
    const outside = input.value !== "" && (input.valueAsNumber < Number(input.dataset.low) || input.valueAsNumber > Number(input.dataset.high));
    document.getElementById(`${input.id}-outside`).hidden = !outside;
  };

  /** A slider moves over named steps: write the name beside it, and where it is read aloud. */
  const nameStep = (slider) => {
    const name = JSON.parse(slider.dataset.steps)[slider.valueAsNumber];
    form.querySelector(`output[for="${slider.id}"]`).value = name;
    slider.setAttribute("aria-valuetext", name);
  };

  /** What is dragged in a figure is written into the form. */
  const follow = (view) => {
    const signals = view.getState({ signals: () => true, data: () => false }).signals;
    for (const slider of form.querySelectorAll("[data-drag]")) {
      if (!(slider.dataset.drag in signals)) continue;
      view.addSignalListener(slider.dataset.drag, (_, value) => {
        const at = JSON.parse(slider.dataset.steps).indexOf(value);
        if (at < 0 || slider.valueAsNumber === at) return;
        slider.value = at;
        nameStep(slider);
        soon();
      });
    }
    for (const input of bound()) {
      if (input.type !== "number" || !(input.dataset.signal in signals)) continue;
      view.addSignalListener(input.dataset.signal, (_, value) => {
        if (input.valueAsNumber === value) return;
        input.value = value;
        soon();
      });
    }
  };

  form.addEventListener("input", onInput);
  form.addEventListener("submit", (event) => { event.preventDefault(); onInput(); });
  document.addEventListener("figure", (event) => follow(event.detail.view));
})();
