// Lets workflows from before Sample Tokens had recommended settings draw as they did. A new node begins with them, and
// the editor would give that value to old nodes too.

import { app } from "../../../scripts/app.js";
import { AS_SET, widgetWithoutValue } from "./lib/recommended_settings.mjs";

app.registerExtension({
  name: "Taming.RecommendedSettings",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== "TamingSample") return;
    const configure = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (saved) {
      const result = configure?.call(this, saved);
      const widget = widgetWithoutValue(this.widgets, saved);
      if (widget) widget.value = AS_SET;
      return result;
    };
  },
});
