/* Hands a file over, and follows a training run: the server tells, and the buttons ask. */
"use strict";

(() => {
  const say = (place, words) => {
    place.textContent = words;
    place.classList.toggle("problem", Boolean(words));
  };

  const upload = document.querySelector(".upload input");
  const told = document.getElementById("upload-said");
  const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;

  const hand = async (file) => {
    const limit = Number(upload.parentElement.dataset.limit);
    if (file.size > limit) return say(told, `${file.name} has ${megabytes(file.size)}; at most ${megabytes(limit)} can be uploaded.`);
    told.classList.remove("problem");
    told.textContent = `Reading ${file.name} …`;
    try {
      const headers = { "x-file-name": encodeURIComponent(file.name), accept: "application/json" };
      const reply = await fetch("/train/upload", { method: "POST", body: file, headers });
      const found = await reply.json();
      if (reply.ok) location.assign(`/train?data=${encodeURIComponent(found.data)}`);
      else say(told, found.error);
    } catch {
      say(told, "The file did not arrive. Is the server still there? Start it again with: halfsquare serve");
    }
    upload.value = "";
  };
  if (upload) upload.addEventListener("change", () => { if (upload.files.length) hand(upload.files[0]); });

  const room = document.querySelector("[data-live]");
  if (!room) return;
  const answer = document.getElementById("answer");
  const run = room.dataset.run;
  const buttons = [...room.querySelectorAll("[data-act]")];
  let drawing = null;
  let latest = null;

  const allow = (can) => buttons.forEach((button) => { button.disabled = !can[button.dataset.act]; });

  /** Draw the latest news; what arrives meanwhile waits, and only its last is drawn. */
  const draw = async () => {
    while (latest) {
      const news = latest;
      latest = null;
      answer.innerHTML = news.html; // escaped by the server's templates
      for (const view of window.halfsquare.views.values()) await window.halfsquare.update(view, news);
    }
    drawing = null;
  };

  const events = new EventSource(`${run}/events`);
  events.onmessage = (event) => {
    const news = JSON.parse(event.data);
    allow(news.buttons);
    if (news.over) {
      events.close();
      location.replace(run);
      return;
    }
    latest = news;
    drawing ??= draw();
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) return;
    answer.querySelector(".sentence").textContent = "The server does not answer. If it has ended, start it again with: halfsquare serve";
  };
  window.addEventListener("pagehide", () => events.close());

  buttons.forEach((button) => button.addEventListener("click", async (event) => {
    event.preventDefault();
    const reply = await fetch(`${run}/${button.dataset.act}`, { method: "POST", headers: { accept: "application/json" } });
    if (reply.ok) allow((await reply.json()).buttons);
  }));
})();
