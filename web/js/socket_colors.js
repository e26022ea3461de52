// Gives each of the pack's sockets and wires a color of its own, in the classic renderer and in Nodes 2.0.
// The five stay apart in the three kinds of color blindness, from the host's sockets, and on dark and light themes:
// tests/unit/test_socket_colors.py measures it.

import { app } from "../../../scripts/app.js";

const COLORS = {
  TAMING_VQGAN: "#00aaaa",
  TAMING_TRANSFORMER: "#6644ff",
  TAMING_TOKENS: "#ff6611",
  TAMING_CONDITION: "#995533",
  TAMING_RECIPE: "#9966cc",
};

// A change of theme assigns "" to every type that the theme does not name; a theme that names ours is followed.
function color(table, type) {
  let themed = "";
  Object.defineProperty(table, type, {
    get: () => themed || COLORS[type],
    set: (value) => (themed = value),
    enumerable: true,
    configurable: true,
  });
}

app.registerExtension({
  name: "Taming.SocketColors",
  setup() {
    for (const type of Object.keys(COLORS)) {
      color(window.LGraphCanvas.link_type_colors, type); // wires, in both renderers
      color(app.canvas.default_connection_color_byType, type); // sockets of the classic renderer
    }
    const style = document.createElement("style"); // sockets of Nodes 2.0; a theme's own colors go before these
    const rules = Object.entries(COLORS).map(([type, value]) => `--color-datatype-${type}: ${value};`);
    style.textContent = `:root { ${rules.join(" ")} }`;
    document.head.append(style);
  },
});
