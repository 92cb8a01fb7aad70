"use strict";
// Filter, sort, keys and marks of the case list. Everything a filter needs stands in the data attributes of a case.
(() => {
  const section = document.getElementById("cases");
  const list = section.querySelector(".cases");
  const form = section.querySelector("form");
  const cases = [...list.children];
  const errors = new Map(cases.map((item) => [item, JSON.parse(item.dataset.errors)]));
  const texts = new Map(cases.map((item) => [item, shownText(item)]));
  const marks = stored();
  let current = null;

  function shownText(item) {
    const parts = item.querySelectorAll("h3, .badge, .fold, .reason, .facts, .levels");
    return [...parts].map((part) => part.textContent).join(" ").toLowerCase();
  }

  function stored() {
    try {
      return JSON.parse(localStorage.getItem(section.dataset.run)) ?? {};
    } catch {
      return {}; // a browser may keep nothing for files: then marks last as long as the page
    }
  }

  function mark(item, value) {
    const name = item.dataset.name;
    if (value && marks[name] !== value) marks[name] = value;
    else delete marks[name];
    try {
      localStorage.setItem(section.dataset.run, JSON.stringify(marks));
    } catch { /* see above */ }
    showMark(item);
    report();
  }

  function showMark(item) {
    const value = marks[item.dataset.name];
    if (value) item.dataset.mark = value;
    else delete item.dataset.mark;
    for (const button of item.querySelectorAll(".actions button"))
      button.setAttribute("aria-pressed", String(button.value === value));
  }

  const largest = (item) => Math.max(-1, ...Object.values(errors.get(item)).map((error) => error ?? Infinity));

  function fits(item, wish) {
    const own = errors.get(item);
    const known = (level) => Object.hasOwn(own, level);
    const error = wish.level ? (own[wish.level] ?? Infinity) : largest(item); // missed: beyond any threshold
    return (!wish.text || texts.get(item).includes(wish.text.trim().toLowerCase()))
      && (!wish.level || known(wish.level))
      && (!wish.status || item.dataset.status === wish.status)
      && (!wish.fold || item.dataset.fold === wish.fold)
      && (!wish.error || error >= Number(wish.error))
      && (!wish.mark || (marks[item.dataset.name] ?? "none") === wish.mark);
  }

  const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  const byBadness = (a, b) => b.dataset.badness - a.dataset.badness;
  const orders = {
    worst: byBadness,
    best: (a, b) => byBadness(b, a),
    error: (a, b) => largest(b) - largest(a) || byBadness(a, b),
    name: byName,
    fold: (a, b) => a.dataset.fold.localeCompare(b.dataset.fold, undefined, { numeric: true }) || byBadness(a, b),
  };

  function update() {
    const wish = Object.fromEntries(new FormData(form));
    for (const item of cases) item.hidden = !fits(item, wish);
    list.append(...[...cases].sort((a, b) => orders[wish.order](a, b) || byName(a, b)));
    section.querySelector(".nothing").hidden = cases.some((item) => !item.hidden);
    report();
  }

  function report() {
    const count = (value) => Object.values(marks).filter((kind) => kind === value).length;
    const shown = cases.filter((item) => !item.hidden).length;
    form.querySelector("output").textContent =
      `${shown} of ${cases.length} cases shown; ${count("pass")} pass, ${count("fail")} fail`;
  }

  function choose(item) {
    current?.classList.remove("current");
    current = item;
    item.classList.add("current");
  }

  function step(direction) {
    const shown = [...list.children].filter((item) => !item.hidden);
    if (!shown.length) return;
    const place = shown.indexOf(current);
    const next = place < 0 ? 0 : Math.min(Math.max(place + direction, 0), shown.length - 1);
    choose(shown[next]);
    current.focus({ preventScroll: true });
    current.scrollIntoView({ block: "nearest" });
  }

  function exportMarks() {
    const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;
    const rows = [...cases].sort(byName).map((item) => {
      const error = largest(item);
      return [item.dataset.name, marks[item.dataset.name] ?? "", item.dataset.status, item.dataset.fold,
        error === Infinity ? "missed" : error < 0 ? "" : error];
    });
    const text = [["case", "mark", "status", "fold", "largest_error_mm"], ...rows]
      .map((row) => row.map(quoted).join(",") + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "marks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  }

  const keys = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1),
    p: () => current && mark(current, "pass"),
    f: () => current && mark(current, "fail"),
    u: () => current && mark(current, null),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[key]) return;
    event.preventDefault();
    keys[key]();
  });
  list.addEventListener("click", (event) => {
    const item = event.target.closest(".case");
    if (item) choose(item);
    if (event.target.matches(".actions button")) mark(item, event.target.value);
  });
  list.addEventListener("focusin", (event) => choose(event.target.closest(".case")));
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("export").addEventListener("click", exportMarks);
  cases.forEach(showMark);
  update();
})();
