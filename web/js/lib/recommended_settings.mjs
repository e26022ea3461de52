// Whether a saved Sample Tokens node was saved before it could draw with recommended settings.

export const SETTINGS = "settings";
export const AS_SET = "as set";

// The widget that chooses the settings, where `saved`, a node of a workflow, has no value for it: a workflow from before
// there was a choice. It has the others' values, in the order of `widgets`.
export function widgetWithoutValue(widgets, saved) {
  const values = saved.widgets_values;
  const stored = (widgets ?? []).filter((widget) => widget.serialize !== false);
  const index = stored.findIndex((widget) => widget.name === SETTINGS);
  if (index < 0 || !Array.isArray(values)) return null;
  return index >= values.length ? stored[index] : null;
}
