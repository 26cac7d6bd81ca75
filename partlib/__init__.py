"""partlib: adversarial robustness to learn from, up to Pixel-reweighted Adversarial Training.

Data flows one way: data -> budgets -> attacks -> methods -> training -> evaluation -> results.
A budget is a float or a per-pixel tensor, everywhere.
"""

__version__ = "0.1.0"
