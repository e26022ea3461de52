// Which pictures of the pack a workflow loads.

export const PICTURES = ["taming_lake.jpg", "taming_lake_mask.webp"]; // of web/examples

export function picturesOf(workflow) {
  const graphs = [workflow, ...(workflow?.definitions?.subgraphs ?? [])];
  const nodes = graphs.flatMap((graph) => graph?.nodes ?? []).filter((node) => node.type === "LoadImage");
  const names = nodes.map((node) => node.widgets_values?.[0]).filter((name) => PICTURES.includes(name));
  return [...new Set(names)];
}
