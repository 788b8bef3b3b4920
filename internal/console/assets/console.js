// Comfort on top of pages that work without it: copying, local times, the current tab in
// view, and live rows where a page asks for them.
"use strict";
(() => {
  const words = document.body.dataset;

  for (const block of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = words.copy;
    const text = block.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.trim());
        button.textContent = words.copied;
      } catch {
        getSelection().selectAllChildren(block);
      }
    });
    if (navigator.clipboard) block.prepend(button);
  }

  const localTimes = (root) => {
    for (const at of root.querySelectorAll("time[datetime]")) {
      const when = new Date(at.dateTime);
      if (at.dateTime.includes("T") && !isNaN(when)) at.title = when.toLocaleString(document.documentElement.lang, { timeZoneName: "short" });
    }
  };
  localTimes(document);

  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  const live = document.querySelector("[data-live]");
  if (live) {
    const button = document.createElement("button");
    let running = true;
    button.type = "button";
    const label = () => { button.textContent = running ? words.pause : words.resume; };
    label();
    button.addEventListener("click", () => { running = !running; label(); });
    document.querySelector("[data-live-control]")?.append(button);
    setInterval(async () => {
      if (!running || document.hidden || live.contains(document.activeElement)) return;
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (!answer.ok) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[data-live]");
        if (fresh && fresh.innerHTML !== live.innerHTML) {
          live.innerHTML = fresh.innerHTML;
          localTimes(live);
        }
      } catch { /* the next round tries again */ }
    }, 10000);
  }
})();
