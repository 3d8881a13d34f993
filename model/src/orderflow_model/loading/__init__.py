"""From text to a flow, or to findings with their places."""
