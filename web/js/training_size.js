// Makes the training nodes as wide as the sheet that they show while they run, so that its text can be read.

import { app } from "../../../scripts/app.js";

const WIDTH_PX = 480; // of the sheet, nodes/training/view.py
const TRAINING_NODES = ["TamingTrainVQGAN", "TamingTrainTransformer"];

app.registerExtension({
  name: "Taming.TrainingSize",
  nodeCreated(node) {
    // A workflow's own size comes later and wins.
    if (TRAINING_NODES.includes(node.comfyClass)) node.setSize([Math.max(WIDTH_PX, node.size[0]), node.size[1]]);
  },
});
