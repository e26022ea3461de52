// What is shown of a warning, and when it has been shown already. A warning is {prompt_id, node, message}.

const LIFE_MS = 12000;

// Whether `warning` is the first of its kind from its node in its run; others tell the same with other numbers.
export function isNew(warning, shown) {
  const key = [warning.prompt_id, warning.node, warning.message.replace(/\d+/g, "0")].join("\n");
  if (shown.has(key)) return false;
  shown.add(key);
  return true;
}

// The notification for `warning` of the node with that title; the log puts the node's name in front, here it is above.
export function notification(warning, title) {
  const name = title.replace(/ \(Taming\)$/, "");
  const message = warning.message.startsWith(`${name}: `) ? warning.message.slice(name.length + 2) : warning.message;
  const detail = message.charAt(0).toUpperCase() + message.slice(1);
  return { severity: "warn", summary: title, detail, life: LIFE_MS };
}
