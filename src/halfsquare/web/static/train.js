/* Hands a file over, and follows a training run: the server tells, and the buttons ask. */
"use strict";

(() => {
  const say = (place, words) => {
    place.textContent = words;
    place.classList.toggle("problem", Boolean(words));
  };

  const upload = document.querySelector(".upload input");
  const told = document.getElementById("upload-said");
  const reading = document.querySelector("form.reading");
  let refused = null;

  /** What is said of how a file is read, without the file that it was said of. */
  const options = () => {
    const fields = [...new FormData(reading)].filter(([name, value]) => name !== "data" && value !== "");
    return new URLSearchParams(fields);
  };
  const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;

  const hand = async (file) => {
    const limit = Number(upload.parentElement.dataset.limit);
    if (file.size > limit) return say(told, `${file.name} has ${megabytes(file.size)}; at most ${megabytes(limit)} can be uploaded.`);
    told.classList.remove("problem");
    told.textContent = `Reading ${file.name} …`;
    try {
      const headers = { "x-file-name": encodeURIComponent(file.name), accept: "application/json" };
      const asked = options();
      const reply = await fetch(`/train/upload?${asked}`, { method: "POST", body: file, headers });
      const found = await reply.json();
      if (reply.ok) return location.assign(`/train?${new URLSearchParams([["data", found.data], ...asked])}`);
      refused = file;
      reading.querySelector("details").open = true;
      say(told, found.error);
    } catch {
      say(told, "The file did not arrive. Is the server still there? Start it again with: halfsquare serve");
    }
    upload.value = "";
  };
  /** A file that was refused is handed over once more, with what is said of it now. */
  if (reading) reading.addEventListener("submit", (event) => {
    if (!refused) return;
    event.preventDefault();
    hand(refused);
  });
  if (upload) upload.addEventListener("change", () => { if (upload.files.length) hand(upload.files[0]); });

  /** Draw the loss up to a step: by the slider, or a step at a time. */
  const until = document.getElementById("until");
  const replay = document.querySelector("[data-replay]");
  if (until && replay) {
    let timer = null;
    const show = () => {
      document.querySelector("output[for=until]").value = until.value;
      const whole = until.valueAsNumber >= Number(until.max);
      const values = { until: whole ? 1e15 : until.valueAsNumber };
      for (const view of window.halfsquare.views.values()) window.halfsquare.set(view, values);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      replay.setAttribute("aria-pressed", "false");
      replay.textContent = "Replay slowly";
    };
    until.addEventListener("input", () => { stop(); show(); });
    document.querySelectorAll("[data-by]").forEach((one) => one.addEventListener("click", () => {
      stop();
      until.value = until.valueAsNumber + Number(one.dataset.by);
      show();
    }));
    replay.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (until.valueAsNumber >= Number(until.max)) until.value = 0;
      replay.setAttribute("aria-pressed", "true");
      replay.textContent = "Pause the replay";
      const stride = Math.max(1, Math.round(Number(until.max) / 100));
      show();
      timer = setInterval(() => {
        until.value = until.valueAsNumber + stride;
        show();
        if (until.valueAsNumber >= Number(until.max)) stop();
      }, 100);
    });
  }

  /** The loss over the two weights that are chosen, from the server. */
  const surface = document.querySelector("[data-surface]");
  if (surface) {
    const said = document.getElementById("surface-said");
    const [across, up] = surface.querySelectorAll("select");
    let asked = 0;
    const look = async () => {
      const mine = ++asked;
      if (across.value === up.value) return say(said, "Choose two weights that differ.");
      try {
        const query = new URLSearchParams({ a: across.value, b: up.value });
        const reply = await fetch(`${surface.dataset.surface}?${query}`, { headers: { accept: "application/json" } });
        const found = await reply.json();
        if (mine !== asked) return;
        if (!reply.ok) return say(said, found.error);
        await window.halfsquare.update(window.halfsquare.views.get("surface"), found);
        say(said, "");
        said.innerHTML = found.html; // escaped by the server's templates
      } catch {
        if (mine === asked) say(said, "The server does not answer. Start it again with: halfsquare serve");
      }
    };
    for (const one of [across, up]) one.addEventListener("change", look);
    document.addEventListener("figure", (event) => { if (event.target.id === "surface") look(); });
  }

  const live = document.querySelector("[data-live]");
  if (!live) return;
  const answer = document.getElementById("answer");
  const run = live.dataset.run;
  const button = (act) => live.querySelector(`[data-act=${act}]`);
  let drawing = null;
  let latest = null;
  let silent = null;

  /** The same buttons all the time, so that none loses the focus; one that can do nothing says so. */
  const allow = ({ going, held, label }) => {
    button("pause").textContent = label;
    button("pause").dataset.held = held;
    for (const act of ["pause", "step", "stop"]) button(act).setAttribute("aria-disabled", String(!going));
  };

  /** Draw the latest news; what arrives meanwhile waits, and only its last is drawn. */
  const draw = async () => {
    while (latest) {
      const news = latest;
      latest = null;
      const open = Boolean(answer.querySelector("details[open]"));
      answer.innerHTML = news.html; // escaped by the server's templates
      if (open) answer.querySelector("details")?.setAttribute("open", "");
      for (const view of window.halfsquare.views.values()) await window.halfsquare.update(view, news);
    }
    drawing = null;
  };

  const events = new EventSource(`${run}/events`);
  events.onmessage = (event) => {
    clearTimeout(silent);
    silent = null;
    const news = JSON.parse(event.data);
    allow(news.controls);
    if (news.over) {
      events.close();
      location.replace(run);
      return;
    }
    latest = news;
    drawing ??= draw();
  };
  /** A connection that breaks is taken up again by the browser; only a server that is gone is told. */
  events.onerror = () => {
    silent ??= setTimeout(async () => {
      silent = null;
      try {
        await fetch(run, { method: "HEAD" });
      } catch {
        answer.querySelector(".sentence").textContent = "The server does not answer. If it has ended, start it again with: halfsquare serve";
      }
    }, 4000);
  };
  window.addEventListener("pagehide", () => { clearTimeout(silent); events.close(); });

  live.querySelectorAll("[data-act]").forEach((one) => one.addEventListener("click", async (event) => {
    event.preventDefault();
    if (one.getAttribute("aria-disabled") === "true") return;
    const reply = await fetch(`${run}/${one.dataset.act}`, { method: "POST", headers: { accept: "application/json" } });
    if (reply.ok) allow((await reply.json()).controls);
  }));
})();
