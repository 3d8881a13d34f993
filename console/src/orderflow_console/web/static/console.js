// Keeps a page's figures live: a stream of server-sent events brings all cells by name, and texts that differ are put in.
// Nothing else of the page changes, so links and focus stay; without this script it is as it was when it was loaded.
for (const region of document.querySelectorAll("[data-stream]")) {
  const cells = Map.groupBy(region.querySelectorAll("[data-cell]"), (cell) => cell.dataset.cell);
  const toggle = region.querySelector("[data-pause]");
  let source = null;

  const show = (name, [text, kind]) => {
    for (const cell of cells.get(name) ?? []) {
      if (cell.textContent !== text) cell.textContent = text;
      cell.setAttribute("class", kind);
    }
  };
  const start = () => {
    source = new EventSource(region.dataset.stream);
    source.onmessage = (message) =>
      Object.entries(JSON.parse(message.data)).forEach(([name, cell]) => show(name, cell));
    source.onopen = () => region.removeAttribute("data-lost");
    source.onerror = () => region.setAttribute("data-lost", "");
    toggle.textContent = "Pause";
  };
  const stop = () => {
    source?.close();
    source = null;
    toggle.textContent = "Go on";
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => (source ? stop() : start()));
  addEventListener("pagehide", stop);
  start();
}

// Copies a command; there is no button without this script.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}
