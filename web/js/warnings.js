// Shows the pack's warnings in the editor: an image that was cropped, an empty mask, a word that a model does not know.
// They are in the terminal too, where few people look.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { isNew, notification } from "./lib/warnings.mjs";

app.registerExtension({
  name: "Taming.Warnings",
  setup() {
    const shown = new Set();
    api.addEventListener("taming.warning", ({ detail }) => {
      if (!isNew(detail, shown)) return;
      const node = app.graph.getNodeById(detail.node); // none where it is in a subgraph that is not open
      app.extensionManager.toast.add(notification(detail, node?.title ?? "Taming"));
    });
  },
});
