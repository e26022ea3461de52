// Brings the pictures of our templates: when a workflow is opened that loads one, and ComfyUI's input folder has none of
// that name, it is uploaded there, as if the user had chosen it.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { picturesOf } from "./lib/example_pictures.mjs";

const FOLDER = new URL("../examples/", import.meta.url);

async function inputs() {
  const { LoadImage } = await (await api.fetchApi("/object_info/LoadImage")).json();
  const [kind, options] = LoadImage.input.required.image;
  return Array.isArray(kind) ? kind : options.options; // as nodes of the older and of the newer schema list them
}

async function upload(name) {
  const picture = await fetch(new URL(name, FOLDER));
  const body = new FormData();
  body.append("image", new File([await picture.blob()], name));
  await api.fetchApi("/upload/image", { method: "POST", body });
}

app.registerExtension({
  name: "Taming.ExamplePictures",
  async beforeConfigureGraph(workflow) {
    const wanted = picturesOf(workflow);
    if (!wanted.length) return;
    const there = await inputs();
    const missing = wanted.filter((name) => !there.includes(name));
    if (!missing.length) return;
    await Promise.all(missing.map(upload));
    await app.refreshComboInNodes(); // or the editor takes them for missing
  },
});
