"""Networks: f(x), and f(x, parameters) where the parameters may differ by task."""
