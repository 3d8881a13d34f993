"""From what a flow says to what is there, level-based: the steps of `reconcile.py` and the queue before them."""
