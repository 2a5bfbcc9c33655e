"""How good a drawing is: one file a metric, one function an equation, arrays or tokens in, numbers out."""
