"use strict";
// The filter of the flipped items. Without it all items are shown; nothing else on the page needs it.
(() => {
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) { part.open = true; opened.push(part); }
  });
  addEventListener("afterprint", () => { while (opened.length) opened.pop().open = false; });

  const form = document.getElementById("filter");
  if (!form) return;
  const STEP = 30;
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const items = [...document.querySelectorAll("#items > .flip")].map((node) => ({
    node, text: null, run: node.dataset.run, suite: node.dataset.suite, kind: node.dataset.kind,
    metrics: node.dataset.metrics.split(" "),
  }));
  let most = STEP;

  const matches = (item, wanted, words) => {
    if (wanted.run && item.run !== wanted.run) return false;
    if (wanted.suite && item.suite !== wanted.suite) return false;
    if (wanted.kind && item.kind !== wanted.kind) return false;
    if (wanted.metric && !item.metrics.includes(wanted.metric)) return false;
    if (!words.length) return true;
    item.text ??= item.node.textContent.toLowerCase();
    return words.every((word) => item.text.includes(word));
  };

  const apply = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of items) {
      const fits = matches(item, wanted, words);
      found += fits;
      item.node.hidden = !fits || found > most;
      item.node.classList.remove("late");
    }
    const shown = Math.min(found, most);
    count.textContent = found === 0 ? `None of ${items.length} items fits.`
      : `${found === items.length ? "All" : found + " of"} ${items.length} items fit` + (shown < found ? `; the first ${shown} are shown.` : ".");
    more.hidden = shown === found;
  };

  const anew = () => { most = STEP; apply(); };
  form.addEventListener("input", anew);
  form.addEventListener("reset", () => setTimeout(anew));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.name === "text") { event.target.value = ""; anew(); }
  });
  document.getElementById("further").addEventListener("click", () => {
    const first = items.filter((item) => !item.node.hidden).length;
    most += STEP;
    apply();
    items.filter((item) => !item.node.hidden)[first]?.node.focus();
  });
  // Among the items, j and k go to the next and the one before.
  document.getElementById("items").addEventListener("keydown", (event) => {
    const step = { j: 1, k: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = items.filter((item) => !item.node.hidden);
    const at = shown.findIndex((item) => item.node.contains(document.activeElement));
    shown[at + step]?.node.focus();
  });
  for (const link of document.querySelectorAll("[data-show-run]")) {
    link.addEventListener("click", () => { form.reset(); form.elements.run.value = link.dataset.showRun; setTimeout(anew); });
  }
  form.hidden = false;
  apply();
})();
