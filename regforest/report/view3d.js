"use strict";
// Up to three cases in three dimensions, drawn by NiiVue. Its code and the volumes wait as base64 text until asked for.
(() => {
  const MOST = 3;
  const dialog = document.getElementById("view3d");
  const scenes = dialog.querySelector(".scenes");
  const slices = document.getElementById("slices");
  const opener = document.getElementById("open3d");
  const boxes = [...document.querySelectorAll(".choose")];
  const drawn = [];
  let library = null;

  const chosen = () => boxes.filter((box) => box.checked);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  async function unpacked(element) {
    const stream = new Blob([bytes(element.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function loadLibrary() {
    library ??= unpacked(document.getElementById("niivue")).then((code) => new Promise((resolve) => {
      globalThis.niivueLoaded = resolve;
      const script = document.createElement("script");
      script.type = "module";
      script.textContent = `${code}\nglobalThis.niivueLoaded(Niivue);`;
      document.head.append(script);
    }));
    return library;
  }

  // NiiVue's world is RAS, ours LPS
  const nodes = (points, size) => Object.entries(points).map(([name, [x, y, z, colour]]) =>
    ({ name, x: -x, y: -y, z, colorValue: colour, sizeValue: size }));

  function connectome(viewer, name, points, colours, size, showLegend) {
    const channel = (index) => colours.map((colour) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16));
    const steps = colours.map((_, index) => Math.round((255 * index) / Math.max(colours.length - 1, 1)));
    viewer.addColormap(name, { R: channel(0), G: channel(1), B: channel(2), A: colours.map(() => 255), I: steps });
    viewer.addMesh(viewer.loadConnectomeAsMesh({
      name, nodeColormap: name, nodeMinColor: 0, nodeMaxColor: colours.length - 1, nodeScale: 1, edgeColormap: name,
      edgeMin: 1, edgeMax: 2, edgeScale: 0, legendLineThickness: 0, showLegend, nodes: nodes(points, size), edges: [],
    }));
  }

  function setView(viewer) {
    viewer.setSliceType(slices.checked ? viewer.sliceTypeMultiplanar : viewer.sliceTypeRender);
  }

  async function show(item) {
    const Niivue = await loadLibrary();
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const room = document.createElement("div");
    const canvas = document.createElement("canvas");
    caption.textContent = item.dataset.name;
    room.className = "room";
    canvas.setAttribute("aria-label", `3-D view of ${item.dataset.name}`);
    room.append(canvas);
    figure.append(caption, room);
    scenes.append(figure);
    const viewer = new Niivue({
      backColor: [0, 0, 0, 1], show3Dcrosshair: false, isColorbar: false, dragAndDropEnabled: false, logLevel: "error", meshXRay: 0.7,
      loadingText: "",
    });
    await viewer.attachToCanvas(canvas);
    const content = bytes(item.querySelector(".volume").textContent);
    await viewer.loadFromArrayBuffer(content.buffer, `${item.dataset.name}.nii.gz`);
    Object.assign(viewer.volumes[0], { cal_min: 8, cal_max: 255 }); // not by percentiles: metal would fade the bone
    viewer.updateGLVolume();
    const { predicted, annotated, colours } = JSON.parse(item.querySelector(".points").textContent);
    setView(viewer);
    viewer.setRenderAzimuthElevation(120, 10);
    if (Object.keys(annotated).length) connectome(viewer, "annotated levels", annotated, ["#ffffff", "#ffffff"], 3, false);
    if (Object.keys(predicted).length) connectome(viewer, "predicted levels", predicted, [...colours, colours.at(-1)], 5, true);
    canvas.dataset.ready = "true";
    drawn.push(viewer);
  }

  function clear() {
    for (const viewer of drawn.splice(0)) viewer.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    scenes.replaceChildren();
  }

  function count() {
    const full = chosen().length >= MOST;
    for (const box of boxes) box.disabled = full && !box.checked;
    opener.disabled = !chosen().length;
    opener.textContent = `3-D view (${chosen().length} of ${MOST})`;
  }

  opener.addEventListener("click", async () => {
    dialog.showModal();
    if (!document.createElement("canvas").getContext("webgl2")) scenes.textContent = "This browser has no WebGL 2.";
    else for (const box of chosen()) if (dialog.open) await show(box.closest(".case"));
  });
  dialog.addEventListener("close", clear);
  slices.addEventListener("change", () => drawn.forEach(setView));
  boxes.forEach((box) => box.addEventListener("change", count));
  count();
})();
