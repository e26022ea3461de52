"""What the pack says in the editor: warnings as notifications, and training nodes as wide as their sheets."""

from __future__ import annotations

from live_editor import Editor

WARN = """(messages) => {
  const node = LiteGraph.createNode("TamingEmptyTokens");
  app.graph.add(node);
  for (const [prompt_id, message] of messages)
    window.comfyAPI.api.api.dispatchCustomEvent("taming.warning", { prompt_id, node: String(node.id), message });
}"""
TEXTS = """() => [...document.querySelectorAll(".p-toast-message")].map((toast) =>
  [".p-toast-summary", ".p-toast-detail"].map((part) => toast.querySelector(part).textContent))"""
WIDTHS = """() => ["TamingTrainVQGAN", "TamingTrainTransformer"].map((type) => {
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  return node.size[0];
})"""


def test_a_warning_is_shown_once_a_run_under_the_name_of_its_node(editor: Editor):
    """A run that warns at every evaluation would cover the graph with notifications."""
    cut = "Empty Tokens: width 44 px cut to 40, a multiple of 8 px."
    again = "Empty Tokens: width 60 px cut to 56, a multiple of 8 px."
    editor.page.evaluate(WARN, [["a", cut], ["a", again], ["b", cut]])
    editor.page.wait_for_function("document.querySelectorAll('.p-toast-message').length >= 2")
    assert editor.page.evaluate(TEXTS) == [["Empty Tokens", "Width 44 px cut to 40, a multiple of 8 px."]] * 2
    assert editor.complaints == []


def test_a_new_training_node_is_as_wide_as_its_sheet(editor: Editor):
    assert editor.page.evaluate(WIDTHS) == [480, 480]
